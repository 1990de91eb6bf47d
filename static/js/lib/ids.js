// Random ids for messages.

/**
 * A random id of 128 bits, in the alphabet that the server accepts.
 *
 * `crypto.randomUUID` exists only on https; self-hosted chats often run on plain http.
 *
 * @returns {string} 22 characters of [A-Za-z0-9_-]
 */
export function randomId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16))
  const base64 = btoa(String.fromCharCode(...bytes))
  return base64.replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "")
}

// Random names for messages, 128 bits each.

/** `crypto.randomUUID` does not exist on plain http, where self-hosted chats live; `getRandomValues` does. */
export function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16))
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "")
}

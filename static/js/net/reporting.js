// Sends a report of a message or of the room.

const NO_CONNECTION = "The report could not be sent. Please try again later."

/**
 * @param {string} url of the form by which a browser without scripts would report
 * @param {URLSearchParams} body the fields of that form
 * @param {typeof fetch} [send]
 * @returns {Promise<string>} why the report was refused; empty when it was sent
 */
export async function sendReport(url, body, send = fetch) {
  try {
    const request = { method: "POST", headers: { Accept: "application/json" }, body }
    const response = await send(url, { ...request, redirect: "manual" })
    if (response.ok) return ""
    const { message } = await response.json()
    return message || NO_CONNECTION
  } catch {
    return NO_CONNECTION
  }
}

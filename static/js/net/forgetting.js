// Asks the server to delete the cookie of this browser.

/** Asks for an answer without a body instead of the redirect that a form gets. */
const PREFER_NO_CONTENT = { Prefer: "return=minimal" } // RFC 7240
const NO_CONTENT = 204

/**
 * @param {HTMLFormElement} form the form by which a browser without scripts would ask
 * @returns {Promise<boolean>} whether the cookie is deleted
 */
export async function deleteCookie(form) {
  const fields = /** @type {[string, string][]} */ ([...new FormData(form)])
  const body = new URLSearchParams(fields)
  try {
    const request = { method: "POST", headers: PREFER_NO_CONTENT, body }
    // A redirect is not ours: a proxy may ask people to log in.
    const response = await fetch(form.action, { ...request, redirect: "manual" })
    return response.status === NO_CONTENT
  } catch {
    return false
  }
}

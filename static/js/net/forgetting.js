// Asks the server to delete the cookie of this browser.

/**
 * @param {HTMLFormElement} form the form by which a browser without scripts would ask
 * @returns {Promise<boolean>} whether the cookie is deleted
 */
export async function deleteCookie(form) {
  const fields = /** @type {[string, string][]} */ ([...new FormData(form)])
  const body = new URLSearchParams(fields)
  try {
    const response = await fetch(form.action, { method: "POST", body, redirect: "manual" })
    return response.type === "opaqueredirect" // to the home page
  } catch {
    return false
  }
}

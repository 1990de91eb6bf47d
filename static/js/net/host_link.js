// The host link of a room. Its secret is in the fragment of the address, which browsers do not
// send.

import { basePath } from "../lib/site.js"

const PREFIX = "#host="

/**
 * The address of a host link.
 *
 * @param {string} roomUrl
 * @param {string} secret
 */
export function hostLink(roomUrl, secret) {
  return `${roomUrl}${PREFIX}${secret}`
}

/**
 * Takes the secret out of the address of the page: it must not stay in the address bar, in the
 * history, or in what people copy.
 *
 * @returns {string} "" if the address has none
 */
export function takeHostSecret() {
  if (!location.hash.startsWith(PREFIX)) return ""
  const secret = location.hash.slice(PREFIX.length)
  history.replaceState(history.state, "", location.pathname + location.search)
  return secret
}

/**
 * Uses a host link with a form, as a browser without scripts does: somebody who may not enter the
 * room has no connection to it. The answer is another page.
 *
 * @param {string} label of the room
 * @param {string} secret
 * @param {{ form: HTMLFormElement, csrf: string }} page `form`: an empty one in the page
 */
export function postHostSecret(label, secret, { form, csrf }) {
  form.method = "post"
  form.action = `${basePath}/${label}/host`
  for (const [name, value] of Object.entries({ csrf, secret })) {
    const field = form.appendChild(form.ownerDocument.createElement("input"))
    field.type = "hidden"
    field.name = name
    field.value = value
  }
  form.submit()
}

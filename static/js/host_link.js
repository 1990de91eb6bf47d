/**
 * Uses the host link with which a page without the room was opened. The form of that page does the
 * same without scripts.
 */

import { takeHostSecret } from "./net/host_link.js"

const form = /** @type {HTMLFormElement | null} */ (document.querySelector("[data-host-link]"))
const field = /** @type {HTMLInputElement | null} */ (
  document.querySelector("[data-host-link] [name=secret]")
)
const secret = form ? takeHostSecret() : ""

if (form && field && secret !== "") {
  field.value = secret
  form.requestSubmit()
}

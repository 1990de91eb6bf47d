// Asks a question in a dialog that is in the page.

import { openDialog } from "./dialogs.js"
import { byId } from "./dom.js"

/**
 * @param {string} id of the dialog
 * @param {string} [name] of the person whom the question is about
 * @returns {Promise<FormData | null>} the answer; null when the person has canceled
 */
export function ask(id, name = "") {
  const dialog = /** @type {HTMLDialogElement} */ (byId(id))
  const form = /** @type {HTMLFormElement} */ (dialog.querySelector(".question"))
  form.reset()
  for (const element of dialog.querySelectorAll("[data-name]")) element.textContent = name
  dialog.returnValue = ""
  openDialog(id)
  return new Promise((resolve) => {
    const answer = () => resolve(dialog.returnValue === "" ? null : new FormData(form))
    dialog.addEventListener("close", answer, { once: true })
  })
}

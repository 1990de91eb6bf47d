// Opens and closes the dialogs of the page.

/** Makes the buttons with `data-opens` open dialogs, and a click beside a dialog close it. */
export function setUpDialogs() {
  const openers = /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("[data-opens]"))
  for (const button of openers) {
    button.addEventListener("click", () => openDialog(button.dataset.opens ?? ""))
  }
  for (const dialog of document.querySelectorAll("dialog")) {
    dialog.addEventListener("click", (event) => {
      if (event.target === dialog) dialog.close() // the target of a click on the backdrop
    })
  }
}

/**
 * Opens a dialog and closes the one that is open.
 *
 * @param {string} id
 */
export function openDialog(id) {
  const open = /** @type {NodeListOf<HTMLDialogElement>} */ (
    document.querySelectorAll("dialog:modal")
  )
  for (const dialog of open) dialog.close()
  const dialog = /** @type {HTMLDialogElement} */ (document.getElementById(id))
  for (const image of dialog.querySelectorAll("img")) image.src ||= image.dataset.src ?? ""
  dialog.showModal()
}

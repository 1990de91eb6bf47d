// Opens and closes the dialogs of the page.

/** Makes the buttons with `data-opens` open dialogs, and a click beside a dialog close it. */
export function setUpDialogs() {
  const openers = /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("[data-opens]"))
  for (const button of openers) {
    button.addEventListener("click", () => openDialog(button.dataset.opens ?? ""))
  }
  for (const dialog of document.querySelectorAll("dialog")) {
    dialog.addEventListener("click", (event) => {
      if (event.target === dialog && isBeside(event, dialog)) dialog.close()
    })
  }
}

/**
 * Whether a click was on the backdrop. The padding of a dialog has the same target.
 *
 * @param {MouseEvent} click
 * @param {HTMLElement} dialog
 */
function isBeside({ clientX, clientY }, dialog) {
  const { left, right, top, bottom } = dialog.getBoundingClientRect()
  return clientX < left || clientX > right || clientY < top || clientY > bottom
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
  dialog.scrollTop = 0 // browsers keep the position at which it was closed
}

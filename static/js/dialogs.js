// Buttons that open a dialog, and what every dialog does: closes by its button, by Esc, and by a press beside it.

export function listenToDialogs() {
  for (const button of document.querySelectorAll("[data-opens]")) button.addEventListener("click", () => openDialog(/** @type {HTMLElement} */ (button).dataset.opens ?? ""))
  for (const dialog of document.querySelectorAll("dialog")) {
    dialog.addEventListener("click", (event) => {
      if (event.target === dialog) dialog.close()
    })
  }
}

/** One at a time. @param {string} id */
export function openDialog(id) {
  for (const dialog of /** @type {NodeListOf<HTMLDialogElement>} */ (document.querySelectorAll("dialog:modal"))) dialog.close()
  const dialog = /** @type {HTMLDialogElement} */ (document.getElementById(id))
  for (const image of dialog.querySelectorAll("img")) image.src ||= image.dataset.src ?? ""
  dialog.showModal()
}

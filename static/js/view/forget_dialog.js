// The dialog that makes this browser forget its person.

const FAILED = "That didn't work, so nothing was deleted. Please reload the page and try again."

/**
 * @param {HTMLDialogElement} dialog
 * @param {object} dependencies
 * @param {(form: HTMLFormElement) => Promise<boolean>} dependencies.deleteCookie
 * @param {() => void} dependencies.deleteStored
 * @param {(text: string) => void} dependencies.showError
 */
export function setUpForgetDialog(dialog, { deleteCookie, deleteStored, showError }) {
  dialog.addEventListener("submit", async (event) => {
    const form = /** @type {HTMLFormElement} */ (event.target)
    const isConfirmed = event.submitter?.matches(".button--main")
    if (!isConfirmed) return
    event.preventDefault()
    if (!(await deleteCookie(form))) {
      dialog.close()
      showError(FAILED)
      return
    }
    deleteStored()
    // Again after the other listeners, which store what is not saved when the page is left.
    addEventListener("pagehide", deleteStored)
    location.assign("/")
  })
}

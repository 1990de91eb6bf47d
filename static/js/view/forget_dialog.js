// The dialog that makes this browser forget its person, in all tabs with rooms.

import { basePath } from "../lib/site.js"
import { announceForgotten, onForgottenElsewhere } from "../state/room_memory.js"

/** @import { Preferences } from "../state/preferences.js" */

const FAILED = "That didn't work, so nothing was deleted. Please reload the page and try again."

/**
 * @param {HTMLDialogElement} dialog
 * @param {object} dependencies
 * @param {(form: HTMLFormElement) => Promise<boolean>} dependencies.deleteCookie
 * @param {Preferences} dependencies.preferences
 * @param {Preferences} dependencies.tabPreferences
 * @param {(text: string) => void} dependencies.showError
 */
export function setUpForgetDialog(dialog, dependencies) {
  const { deleteCookie, preferences, tabPreferences, showError } = dependencies
  const leaveRoom = () => leave([preferences, tabPreferences])
  dialog.addEventListener("submit", async (event) => {
    const form = /** @type {HTMLFormElement} */ (event.target)
    const button = /** @type {HTMLButtonElement | null} */ (event.submitter)
    const method = button?.formMethod || form.method
    if (method !== "post") return // the person has canceled
    event.preventDefault()
    if (await deleteCookie(form)) {
      leaveRoom()
      announceForgotten(preferences)
      return
    }
    dialog.close()
    showError(FAILED)
  })
  onForgottenElsewhere(preferences, leaveRoom)
}

/** @param {Preferences[]} all */
function leave(all) {
  const deleteAll = () => {
    for (const preferences of all) preferences.deleteAll()
  }
  deleteAll()
  // Again after the other listeners, which store what is not saved when the page is left.
  addEventListener("pagehide", deleteAll)
  document.addEventListener("visibilitychange", deleteAll)
  location.assign(`${basePath}/`)
}

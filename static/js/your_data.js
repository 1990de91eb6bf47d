// Entry point of the page about the own data in a room: what is forgotten there is forgotten in the
// storage of this browser and in its other tabs too.

import { basePath } from "./lib/site.js"
import { deleteCookie } from "./net/forgetting.js"
import { Preferences } from "./state/preferences.js"
import { announceForgotten, announceLeft, forgetRoom } from "./state/room_memory.js"

const preferences = new Preferences()
const leaveForm = findForm("leave")
const forgetForm = findForm("forget")

// The form goes to the home page by itself.
leaveForm?.addEventListener("submit", () => {
  const label = leaveForm.dataset.label ?? ""
  forgetRoom(label, preferences)
  announceLeft(label, preferences)
})

forgetForm?.addEventListener("submit", async (event) => {
  event.preventDefault()
  if (!(await deleteCookie(forgetForm))) {
    forgetForm.submit() // the page that answers says why
    return
  }
  preferences.deleteAll()
  new Preferences(() => sessionStorage).deleteAll()
  announceForgotten(preferences)
  location.assign(`${basePath}/`)
})

/**
 * The page has no forms while messages are being deleted.
 *
 * @param {string} id
 */
function findForm(id) {
  return /** @type {HTMLFormElement | null} */ (document.getElementById(id))
}

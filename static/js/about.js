// Entry point of the home page: lists the rooms that this browser has visited.

import { Preferences } from "./state/preferences.js"
import { RecentRooms } from "./state/recent_rooms.js"
import { byId, cloneTemplate } from "./view/dom.js"
import { setUpThemeChoice } from "./view/theme.js"

/** @import { Visit } from "./state/recent_rooms.js" */

const preferences = new Preferences()
const recentRooms = new RecentRooms(preferences)
const section = byId("recent-rooms")
const list = /** @type {HTMLElement} */ (section.querySelector("ul"))

/** @param {Visit} visit */
function createItem({ label, name }) {
  const item = cloneTemplate("recent-room")
  const title = name || label
  const link = /** @type {HTMLAnchorElement} */ (item.querySelector("a"))
  link.href = `/${encodeURIComponent(label)}/`
  link.textContent = title
  const button = /** @type {HTMLButtonElement} */ (item.querySelector("button"))
  button.setAttribute("aria-label", `Remove ${title} from the list`)
  button.addEventListener("click", () => removeRoom(label))
  return item
}

/** @param {string} label */
function removeRoom(label) {
  recentRooms.remove(label)
  showRooms()
  const nextFocus = list.querySelector("button") ?? document.querySelector("main")
  nextFocus?.focus()
}

function showRooms() {
  const visits = recentRooms.all()
  section.hidden = visits.length === 0
  list.replaceChildren(...visits.map(createItem))
}

recentRooms.addEventListener("change", showRooms)
showRooms()
setUpThemeChoice(byId("theme"), preferences)

// Entry point of the home page: lists the rooms that this browser has visited.

import { clock } from "./lib/clock.js"
import { basePath } from "./lib/site.js"
import { formatVisit } from "./lib/time.js"
import { HUE_COUNT } from "./state/person_hues.js"
import { Preferences } from "./state/preferences.js"
import { RecentRooms } from "./state/recent_rooms.js"
import { byId, cloneTemplate, setText } from "./view/dom.js"
import { setFace } from "./view/message_parts.js"
import { setUpThemeChoice } from "./view/theme.js"

/** @import { Visit } from "./state/recent_rooms.js" */

const preferences = new Preferences()
const recentRooms = new RecentRooms(preferences)
const section = byId("recent-rooms")
const list = /** @type {HTMLElement} */ (section.querySelector("ul"))

const MAX_UNREAD_COUNT = 99

/** @param {Visit} visit */
function createItem({ label, name, at, unread = 0 }) {
  const item = cloneTemplate("recent-room")
  const title = name || label
  const link = /** @type {HTMLAnchorElement} */ (item.querySelector("a"))
  link.href = `${basePath}/${encodeURIComponent(label)}/`
  const avatar = /** @type {HTMLElement} */ (item.querySelector(".avatar"))
  setFace(avatar, { hue: hueOf(label), name: title })
  setText(item, ".recent-room__name", title)
  setText(item, ".recent-room__visit", at > 0 ? formatVisit(at, clock.now()) : "")
  item.toggleAttribute("data-unread", unread > 0)
  const count = unread > MAX_UNREAD_COUNT ? `${MAX_UNREAD_COUNT}+` : String(unread)
  setText(item, ".recent-room__unread", count).hidden = unread === 0
  const button = /** @type {HTMLButtonElement} */ (item.querySelector("button"))
  button.setAttribute("aria-label", `Remove ${title} from the list`)
  button.addEventListener("click", () => removeRoom(label))
  return item
}

/**
 * A room keeps its color, wherever it is in the list.
 *
 * @param {string} label
 */
function hueOf(label) {
  const codes = [...label].map((character) => character.codePointAt(0) ?? 0)
  return String(codes.reduce((sum, code) => sum + code, 0) % HUE_COUNT)
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

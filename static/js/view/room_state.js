// Shows the rules of the room: as icons in the header, and as sentences in the room menu.

import { formatDuration, keptText } from "../lib/durations.js"
import { LOCKED_TEXT, slowModeText } from "../lib/moderation_text.js"
import { setText } from "./dom.js"

/** @import { RoomRules } from "../state/room_rules.js" */

const PRIVATE_TEXT = "This room is private: link previews show nothing of it."
const PASSWORD_TEXT = "This room has a password."
const NAMING_TEXT = "Only hosts can name the room."

/**
 * @param {RoomRules} rules
 * @param {{ icons: HTMLElement, list: HTMLElement }} elements `icons` contains one element for each
 *   state, named in `data-state`
 */
export function showRoomState(rules, { icons, list }) {
  const texts = textsOf(rules)
  for (const icon of /** @type {HTMLElement[]} */ ([...icons.children])) {
    const text = texts[icon.dataset.state ?? ""]
    icon.hidden = text === ""
    icon.title = text
    icon.ariaLabel = text
  }
  const { expirySeconds } = rules
  setText(icons, ".header__state-text", expirySeconds > 0 ? formatDuration(expirySeconds) : "")
  const sentences = Object.values(texts).filter((text) => text !== "")
  const items = sentences.map((text) => {
    const item = document.createElement("li")
    item.textContent = text
    return item
  })
  list.replaceChildren(...items)
  list.hidden = items.length === 0
}

/**
 * By state, the sentence; "" where the rule is the usual one.
 *
 * @param {RoomRules} rules
 * @returns {Record<string, string>}
 */
function textsOf(rules) {
  const { isLocked, hasPassword, isPrivate, expirySeconds, slowModeSeconds } = rules
  return {
    locked: isLocked ? LOCKED_TEXT : "",
    password: hasPassword ? PASSWORD_TEXT : "",
    private: isPrivate ? PRIVATE_TEXT : "",
    expiry: expirySeconds > 0 ? keptText(expirySeconds) : "",
    slow: slowModeSeconds > 0 ? slowModeText(slowModeSeconds) : "",
    naming: rules.isNamedByHosts ? NAMING_TEXT : "",
  }
}

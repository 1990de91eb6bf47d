// The keyboard shortcuts of the page, and moving from message to message with the arrow keys.
// message_menu.js has those on a message.

import { isForInputMethod } from "./input_method.js"

/**
 * @typedef {object} ShortcutTargets
 * @property {() => HTMLElement[]} getRegions the regions that F6 cycles through: in each, the
 *   element that takes the focus
 * @property {HTMLElement} log contains the messages
 * @property {HTMLElement} textField
 * @property {() => void} goToLatest
 * @property {() => void} cancel what Escape cancels before it returns to the text field
 * @property {() => void} showHelp
 */

const FIELDS = "input, textarea, select"
const REGIONS = "header, [role='log'], form.composer, dialog"
const HAS_OWN_KEYS = `${FIELDS}, button, a, dialog, .message`

/** @param {ShortcutTargets} targets */
export function setUpKeyboardShortcuts(targets) {
  const { log } = targets
  document.addEventListener("keydown", (event) => handleKey(event, targets))
  log.addEventListener("keydown", (event) => {
    const hasModifier = event.ctrlKey || event.altKey || event.metaKey || event.shiftKey
    if (!hasModifier) moveBetweenMessages(event, targets)
  })
  log.addEventListener("focusin", ({ target }) => {
    labelMessage(/** @type {HTMLElement} */ (target))
  })
  labelMessage(/** @type {HTMLElement} */ (document.activeElement))
}

/**
 * @param {KeyboardEvent} event
 * @param {ShortcutTargets} targets
 */
function handleKey(event, { getRegions, textField, cancel, showHelp }) {
  if (isHandledElsewhere(event)) return
  if (event.key === "F6") {
    focusNextRegion(getRegions(), event.shiftKey ? -1 : 1)
    event.preventDefault()
  } else if (event.key === "Escape") {
    cancel()
    textField.focus()
  } else if (event.key === "?" && !isField(event.target)) {
    showHelp()
    event.preventDefault()
  } else if (startsTyping(event)) {
    textField.focus() // the key then writes into it
  }
}

/**
 * Whether the key belongs to the input method, to the browser, or to a dialog or menu.
 *
 * @param {KeyboardEvent} event
 */
function isHandledElsewhere(event) {
  if (isForInputMethod(event)) return true
  if (event.defaultPrevented || event.altKey || event.metaKey) return true
  return document.querySelector("dialog:modal, :popover-open") !== null
}

/** @param {EventTarget | null} target */
function isField(target) {
  return target instanceof HTMLElement && target.matches(FIELDS)
}

/**
 * Whether the key is a character outside of everything that has keys of its own.
 *
 * @param {KeyboardEvent} event
 */
function startsTyping({ key, ctrlKey, target }) {
  const isCharacter = key.length === 1 && key !== " " && !ctrlKey
  const element = /** @type {Element} */ (target)
  return isCharacter && element.closest(HAS_OWN_KEYS) === null
}

/**
 * @param {HTMLElement[]} elements one in each region
 * @param {1 | -1} step
 */
function focusNextRegion(elements, step) {
  const current = elements.findIndex((element) => {
    return element.closest(REGIONS)?.contains(document.activeElement)
  })
  const next = current < 0 ? 0 : (current + step + elements.length) % elements.length
  elements[next].focus()
}

/**
 * @param {KeyboardEvent} event
 * @param {ShortcutTargets} targets
 */
function moveBetweenMessages(event, { log, goToLatest }) {
  const target = /** @type {HTMLElement} */ (event.target)
  if (target !== log && !target.matches(".message, .message *")) return
  const messages = visibleMessages(log)
  const current = messages.findIndex((message) => message.contains(target))
  const next = nextIndex(event.key, current)
  if (next === undefined) return
  event.preventDefault()
  const isEnd = event.key === "End"
  if (isEnd) goToLatest()
  messages.at(next)?.focus({ preventScroll: isEnd })
}

/** @param {HTMLElement} log */
function visibleMessages(log) {
  const messages = /** @type {HTMLElement[]} */ ([...log.querySelectorAll(".message")])
  return messages.filter((message) => message.checkVisibility())
}

/**
 * @param {string} key
 * @param {number} current -1 when no message has the focus
 * @returns {number | undefined} -1 for the last message; undefined for other keys
 */
function nextIndex(key, current) {
  if (key === "Home") return 0
  if (key === "End") return -1
  if (key !== "ArrowUp" && key !== "ArrowDown") return undefined
  if (current < 0) return -1
  return key === "ArrowUp" ? Math.max(current - 1, 0) : current + 1
}

/**
 * Gives a message one label for screen readers while it has the focus.
 *
 * @param {HTMLElement} message
 */
function labelMessage(message) {
  if (!message.matches(".message")) return
  const parts = ["name", "time", "text", "note"].map((name) => {
    return message.querySelector(`.message__${name}`)?.textContent?.trim() ?? ""
  })
  if (message.hasAttribute("data-mentions-me")) parts.push("mentions you")
  message.ariaLabel = parts.filter((part) => part !== "").join(", ")
  message.addEventListener("focusout", () => message.removeAttribute("aria-label"), { once: true })
}

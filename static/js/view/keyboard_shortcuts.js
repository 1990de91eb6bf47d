// The keyboard shortcuts of the page. message_focus.js and message_menu.js have those on a message.

import { isForInputMethod } from "./input_method.js"

/**
 * @typedef {object} ShortcutTargets
 * @property {() => HTMLElement[]} getRegions the regions that F6 cycles through: in each, the
 *   element that takes the focus
 * @property {HTMLElement} textField
 * @property {() => void} cancel what Escape cancels before it returns to the text field
 * @property {() => void} showHelp
 */

const FIELDS = "input, textarea, select"
const REGIONS = "header, [role='log'], form.composer, dialog"
const HAS_OWN_KEYS = `${FIELDS}, button, a, dialog, .message`

/** @param {ShortcutTargets} targets */
export function setUpKeyboardShortcuts(targets) {
  document.addEventListener("keydown", (event) => handleKey(event, targets))
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
 * Whether the key belongs to the input method, to the browser, or to a dialog.
 *
 * @param {KeyboardEvent} event
 */
function isHandledElsewhere(event) {
  if (isForInputMethod(event)) return true
  if (event.defaultPrevented || event.altKey || event.metaKey) return true
  return document.querySelector("dialog:modal") !== null
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

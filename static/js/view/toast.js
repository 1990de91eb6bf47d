// Short messages that disappear by themselves.

import { hasLostFocus } from "./dom.js"

/**
 * A button beside the sentence.
 *
 * @typedef {object} ToastAction
 * @property {string} text
 * @property {() => void} run
 * @property {number} [durationMs] how long it can be run, also while the toast is in use. It is
 *   short, so somebody who uses the keyboard gets the focus on the button
 */
/**
 * Returns a function that hides the toast, unless another one has replaced it.
 *
 * @typedef {(text: string, action?: ToastAction) => () => void} ShowToast
 */

const TOAST_DURATION_MS = 6000
const DURATION_WITH_ACTION_MS = 12_000
const KEYBOARD_FOCUS = ":focus-visible:not(input, textarea)"
const IN_USE = ":hover, :focus-within"

/**
 * Returns a function that shows a sentence; a new sentence replaces the one before.
 *
 * @param {HTMLElement} element
 * @param {HTMLElement} fallbackFocus takes the focus when a toast that has it disappears
 * @returns {ShowToast}
 */
export function createToast(element, fallbackFocus) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer
  const focus = new ToastFocus(fallbackFocus)

  function hide() {
    const hadFocus = element.contains(document.activeElement)
    element.replaceChildren()
    if (hadFocus) focus.restore()
  }

  /**
   * @param {number} durationMs
   * @param {boolean} isFixed whether the toast disappears while it is in use
   */
  function hideAfter(durationMs, isFixed) {
    clearTimeout(timer)
    timer = setTimeout(() => {
      const isInUse = element.matches(IN_USE) && element.querySelector("button") !== null
      if (isInUse && !isFixed) hideAfter(durationMs, isFixed)
      else hide()
    }, durationMs)
  }

  return (text, action) => {
    if (element.contains(document.activeElement)) hide()
    const sentence = document.createTextNode(text)
    element.replaceChildren(sentence)
    const defaultMs = action ? DURATION_WITH_ACTION_MS : TOAST_DURATION_MS
    hideAfter(action?.durationMs ?? defaultMs, action?.durationMs !== undefined)
    const hideThis = () => {
      if (element.contains(sentence)) hide()
    }
    if (!action) return hideThis
    const button = createButton(action, hide)
    element.append(" ", button)
    focus.moveTo(button, action.durationMs !== undefined)
    return hideThis
  }
}

/**
 * @param {ToastAction} action
 * @param {() => void} hide
 */
function createButton({ text, run }, hide) {
  const button = document.createElement("button")
  button.type = "button"
  button.className = "toast__action"
  button.textContent = text
  button.addEventListener("click", () => {
    hide()
    run()
  })
  return button
}

/** Moves the focus to the button of a toast, and back when the toast disappears. */
class ToastFocus {
  #fallback
  /** What had the focus before the button. */
  #previous

  /** @param {HTMLElement} fallback takes the focus if nothing had it, or what had it is hidden */
  constructor(fallback) {
    this.#fallback = fallback
    this.#previous = fallback
  }

  /**
   * @param {HTMLElement} button
   * @param {boolean} isUrgent
   */
  moveTo(button, isUrgent) {
    const isLost = hasLostFocus()
    this.#previous = isLost ? this.#fallback : /** @type {HTMLElement} */ (document.activeElement)
    const isTaken = isLost || (isUrgent && this.#previous.matches(KEYBOARD_FOCUS))
    if (isTaken) button.focus({ preventScroll: true })
  }

  restore() {
    const target = this.#previous.checkVisibility() ? this.#previous : this.#fallback
    target.focus({ preventScroll: true })
  }
}

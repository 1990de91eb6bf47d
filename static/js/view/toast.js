// Short messages that disappear by themselves.

import { hasLostFocus } from "./dom.js"

/**
 * A button beside the sentence.
 *
 * @typedef {object} ToastAction
 * @property {string} text
 * @property {() => void} run
 */
/** @typedef {(text: string, action?: ToastAction) => void} ShowToast */

const TOAST_DURATION_MS = 6000
const DURATION_WITH_ACTION_MS = 12_000
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

  function hide() {
    const hadFocus = element.contains(document.activeElement)
    element.replaceChildren()
    if (hadFocus) fallbackFocus.focus({ preventScroll: true })
  }

  /** @param {number} durationMs */
  function hideAfter(durationMs) {
    clearTimeout(timer)
    timer = setTimeout(() => {
      const isInUse = element.matches(IN_USE) && element.querySelector("button") !== null
      if (isInUse) hideAfter(durationMs)
      else hide()
    }, durationMs)
  }

  /** @param {ToastAction} action */
  function createButton({ text, run }) {
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

  return (text, action) => {
    if (element.contains(document.activeElement)) hide()
    element.replaceChildren(text)
    hideAfter(action ? DURATION_WITH_ACTION_MS : TOAST_DURATION_MS)
    if (!action) return
    const button = createButton(action)
    element.append(" ", button)
    if (hasLostFocus()) button.focus({ preventScroll: true })
  }
}

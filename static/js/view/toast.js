// Short messages that disappear by themselves.

const TOAST_DURATION_MS = 6000

/**
 * Returns a function that shows a sentence; a new sentence replaces the one before.
 *
 * @param {HTMLElement} element
 * @returns {(text: string) => void}
 */
export function createToast(element) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer
  return (text) => {
    element.textContent = text
    clearTimeout(timer)
    timer = setTimeout(() => {
      element.textContent = ""
    }, TOAST_DURATION_MS)
  }
}

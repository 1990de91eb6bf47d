// The buttons that share the link of a room.

import { copyText } from "./clipboard.js"

const COPIED_DISPLAY_MS = 2000
const COPY_FAILED = "Couldn't copy the link. You can copy it from the address bar."

/**
 * @param {HTMLElement} button
 * @param {string} url
 * @param {(text: string) => void} announce tells screen readers
 */
export function setUpCopyButton(button, url, announce) {
  const label = /** @type {HTMLElement} */ (button.querySelector(".button__text"))
  const originalText = label.textContent
  button.addEventListener("click", async () => {
    const isCopied = await copyText(url)
    label.textContent = isCopied ? "Copied" : "Not copied"
    button.toggleAttribute("data-copied", isCopied)
    announce(isCopied ? "Copied" : COPY_FAILED)
    setTimeout(() => {
      label.textContent = originalText
      button.removeAttribute("data-copied")
    }, COPIED_DISPLAY_MS)
  })
}

/**
 * The share sheet of the system; the button stays hidden in browsers without one.
 *
 * @param {HTMLElement} button
 * @param {() => { title: string, url: string }} content
 */
export function setUpShareButton(button, content) {
  button.hidden = !("share" in navigator)
  button.addEventListener("click", () => {
    navigator.share(content()).catch(() => {}) // the person has closed the share sheet
  })
}

// The buttons that share the link of a room.

/** @import { Copying } from "./clipboard.js" */

const COPIED_DISPLAY_MS = 2000

/**
 * @param {HTMLElement} button
 * @param {string} url
 * @param {Pick<Copying, "copy">} copying
 */
export function setUpCopyButton(button, url, copying) {
  const label = /** @type {HTMLElement} */ (button.querySelector(".button__text"))
  const originalText = label.textContent
  button.addEventListener("click", async () => {
    const isCopied = await copying.copy(url, "Link copied")
    if (!isCopied) return
    label.textContent = "Copied"
    button.setAttribute("data-copied", "")
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

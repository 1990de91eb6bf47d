// The bell in the header, and what one may choose behind it.

/** @import { Level, Notices } from "./notices.js" */

/** @param {HTMLElement} bell @param {HTMLDialogElement} dialog @param {Notices} notices */
export function ringBell(bell, dialog, notices) {
  const why = /** @type {HTMLElement} */ (dialog.querySelector(".dialog__why"))
  const levels = /** @type {HTMLInputElement[]} */ ([...dialog.querySelectorAll("input")])
  const draw = () => {
    for (const input of levels) input.checked = input.value === notices.level
    bell.dataset.level = notices.level
  }
  const explain = (/** @type {string} */ words) => {
    why.textContent = words
    for (const input of levels) input.disabled = words !== ""
    draw()
  }
  bell.addEventListener("click", async () => {
    dialog.showModal()
    explain(await notices.ask())
  })
  for (const input of levels) {
    input.addEventListener("change", () => {
      notices.level = /** @type {Level} */ (input.value)
      draw()
    })
  }
  dialog.querySelector("[data-test]")?.addEventListener("click", () => {
    why.textContent = why.textContent || notices.test()
  })
  draw()
}

// The buttons that copy this room's link, over plain http too.

const COPIED_MS = 2000

/** @param {HTMLElement} button @param {() => string} link @param {(words: string) => void} announce */
export function copyLink(button, link, announce) {
  const words = /** @type {HTMLElement} */ (button.querySelector(".button__words"))
  const before = words.textContent
  button.addEventListener("click", async () => {
    const copied = await copy(link())
    words.textContent = copied ? "Copied" : "Not copied"
    button.toggleAttribute("data-copied", copied)
    announce(copied ? "Copied" : "Not copied: this browser does not allow it. The link is in the address bar.")
    setTimeout(() => {
      words.textContent = before
      delete button.dataset.copied
    }, COPIED_MS)
  })
}

/** Whether it is in the clipboard now. @param {string} text */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text)
    return true
  } catch {
    return copyByHand(text) // plain http has no clipboard
  }
}

/** @param {string} text */
function copyByHand(text) {
  const field = document.createElement("textarea")
  const focused = /** @type {HTMLElement | null} */ (document.activeElement)
  field.value = text
  field.readOnly = true
  field.className = "unseen"
  document.body.append(field)
  field.select()
  const copied = document.execCommand("copy")
  field.remove()
  focused?.focus()
  return copied
}

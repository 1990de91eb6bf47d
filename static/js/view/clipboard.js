// Copies text to the clipboard.

/**
 * @param {string} text
 * @returns {Promise<boolean>} whether the text is in the clipboard now
 */
export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text)
    return true
  } catch {
    return copyWithSelection(text) // on plain http there is no clipboard API
  }
}

/** @param {string} text */
function copyWithSelection(text) {
  const focused = /** @type {HTMLElement | null} */ (document.activeElement)
  const textarea = document.createElement("textarea")
  textarea.value = text
  textarea.readOnly = true
  textarea.className = "visually-hidden"
  document.body.append(textarea)
  textarea.select()
  const isCopied = document.execCommand("copy")
  textarea.remove()
  focused?.focus()
  return isCopied
}

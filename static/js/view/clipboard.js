// Copies text to the clipboard, and shows whether that has worked.

/** @import { ShowToast } from "./toast.js" */

const IS_APPLE = /Mac|iPhone|iPad/.test(globalThis.navigator?.platform ?? "")

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

/**
 * Selects the text in a field and lets the browser copy the selection. `execCommand` alone does not
 * say whether the text was copied: it may return true after copying nothing.
 *
 * @param {string} text
 */
function copyWithSelection(text) {
  const focused = /** @type {HTMLElement | null} */ (document.activeElement)
  const textarea = document.createElement("textarea")
  textarea.value = text
  textarea.readOnly = true
  textarea.className = "visually-hidden"
  // Everything outside of an open dialog is inert: nothing can be selected there.
  const container = document.querySelector("dialog:modal") ?? document.body
  container.append(textarea)
  textarea.focus({ preventScroll: true })
  textarea.select()
  let isWritten = false
  const write = (/** @type {ClipboardEvent} */ event) => {
    event.clipboardData?.setData("text/plain", text)
    event.preventDefault()
    isWritten = event.clipboardData !== null
  }
  document.addEventListener("copy", write)
  const isAllowed = document.execCommand("copy")
  document.removeEventListener("copy", write)
  textarea.remove()
  focused?.focus({ preventScroll: true })
  return isAllowed && isWritten
}

/** Copies texts; where the browser does not allow that, the person can copy them. */
export class Copying {
  #dialog
  #showToast

  /**
   * @param {HTMLDialogElement} dialog shows a text to copy
   * @param {ShowToast} showToast
   */
  constructor(dialog, showToast) {
    this.#dialog = dialog
    this.#showToast = showToast
  }

  /**
   * @param {string} text
   * @param {string} confirmation what to show once the text is copied
   * @param {number} [seq] of the message that contains the text
   * @returns {Promise<boolean>} whether the text was copied
   */
  async copy(text, confirmation, seq = 0) {
    const isCopied = await copyText(text)
    if (isCopied) this.#confirm(confirmation)
    else this.#askToCopy(text, seq)
    return isCopied
  }

  /**
   * A message was deleted: its text must not stay in the dialog.
   *
   * @param {number} seq
   */
  forget(seq) {
    if (this.#dialog.open && this.#dialog.dataset.seq === String(seq)) this.#dialog.close()
  }

  /**
   * Outside of an open dialog nothing is read out, and a toast would be behind it.
   *
   * @param {string} confirmation
   */
  #confirm(confirmation) {
    const status = document.querySelector("dialog:modal [role=status]")
    if (!status) {
      this.#showToast(confirmation)
      return
    }
    status.textContent = confirmation
    const clear = () => (status.textContent = "")
    status.closest("dialog")?.addEventListener("close", clear, { once: true })
  }

  /**
   * @param {string} text
   * @param {number} seq
   */
  #askToCopy(text, seq) {
    const field = /** @type {HTMLTextAreaElement} */ (this.#dialog.querySelector("textarea"))
    const keys = /** @type {HTMLElement} */ (this.#dialog.querySelector("kbd"))
    field.value = text
    this.#dialog.dataset.seq = String(seq)
    keys.textContent = IS_APPLE ? "⌘C" : "Ctrl+C"
    this.#dialog.addEventListener("close", () => (field.value = ""), { once: true })
    this.#dialog.showModal()
    field.focus()
    field.select()
  }
}

// Changes the text of a field so that the change can be undone like a typed one.

const MAX_UNDOABLE_LENGTH = 1000 // Chromium needs seconds for a long text of many lines

/**
 * Replaces a part of the text and puts the caret behind it. The field gets the focus, unless a
 * dialog has it, and `input` is dispatched.
 *
 * `execCommand` is deprecated, but there is no other way: Chromium, Firefox and WebKit add it to
 * the undo history of text fields, while `value` and `setRangeText` corrupt or clear that history.
 *
 * @param {HTMLTextAreaElement} field
 * @param {string} text not empty
 * @param {number} start
 * @param {number} end
 */
export function replaceText(field, text, start, end) {
  field.focus()
  field.setSelectionRange(start, end)
  // Otherwise the text would be inserted into the field that has the focus.
  const isFocused = document.activeElement === field
  const isUndoable = isFocused && text.length <= MAX_UNDOABLE_LENGTH
  if (isUndoable && document.execCommand("insertText", false, text)) return
  field.setRangeText(text, start, end, "end")
  field.dispatchEvent(new InputEvent("input", { bubbles: true, inputType: "insertText" }))
}

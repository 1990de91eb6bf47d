// Recognizes keys that belong to an input method, which composes Chinese, Japanese or Korean text.

/**
 * Whether a key belongs to an input method: the Enter that accepts a word must not send a message.
 *
 * Safari ends the composition before it dispatches the key that has ended it. Then only the code
 * 229 shows it: https://w3c.github.io/uievents/#determine-keydown-keyup-keyCode
 *
 * @param {Pick<KeyboardEvent, "isComposing" | "keyCode">} event
 */
export function isForInputMethod({ isComposing, keyCode }) {
  return isComposing || keyCode === 229
}

// Recognizes texts that consist of emoji only. chat/text/markdown.py has the same rule in Python.

const EMOJI =
  "(?:[\\u{1f1e6}-\\u{1f1ff}]{2}|[0-9#*]\\ufe0f\\u20e3|" +
  "(?:[\\u{1f300}-\\u{1f64f}\\u{1f680}-\\u{1f6ff}\\u{1f7e0}-\\u{1f7f0}\\u{1f900}-\\u{1f9ff}" +
  "\\u{1fa70}-\\u{1faff}\\u{1f004}\\u{1f0cf}\\u{1f18e}\\u{1f191}-\\u{1f19a}" +
  "\\u231a\\u231b\\u23e9-\\u23ec\\u23f0\\u23f3\\u25fd\\u25fe\\u2614\\u2615\\u2648-\\u2653\\u267f" +
  "\\u2693\\u26a1\\u26aa\\u26ab\\u26bd\\u26be\\u26c4\\u26c5\\u26ce\\u26d4\\u26ea\\u26f2\\u26f3" +
  "\\u26f5\\u26fa\\u26fd\\u2705\\u270a\\u270b\\u2728\\u274c\\u274e\\u2753-\\u2755\\u2757" +
  "\\u2795-\\u2797\\u27b0\\u27bf\\u2b1b\\u2b1c\\u2b50\\u2b55]|[\\u203c-\\u3299]\\ufe0f)" +
  "[\\ufe0f\\u{1f3fb}-\\u{1f3ff}]{0,2}[\\u{e0020}-\\u{e007f}]{0,8})"
const ZWJ_SEQUENCE = `(?:\\u200d(?:${EMOJI}|[\\u2640\\u2642\\u2695\\u2696\\u2708\\u2764]\\ufe0f?))*`
const EMOJI_ONLY = new RegExp(`^[ \\n]*(?:${EMOJI}${ZWJ_SEQUENCE}[ \\n]*){1,8}$`, "u")
const MAX_EMOJI_ONLY_CHARACTERS = 160 // eight of the longest emoji

/**
 * Whether a text is one to eight emoji and nothing else; they are shown large.
 *
 * @param {string} source
 */
export function isEmojiOnly(source) {
  if (source.length > 2 * MAX_EMOJI_ONLY_CHARACTERS) return false
  return [...source].length <= MAX_EMOJI_ONLY_CHARACTERS && EMOJI_ONLY.test(source)
}

// Recognizes texts that consist of emoji only. chat/text/emoji.py has the same patterns in Python.

const COLORED =
  "\\u{1f300}-\\u{1f64f}\\u{1f680}-\\u{1f6ff}\\u{1f7e0}-\\u{1f7f0}\\u{1f900}-\\u{1f9ff}" +
  "\\u{1fa70}-\\u{1faff}\\u{1f004}\\u{1f0cf}\\u{1f18e}\\u{1f191}-\\u{1f19a}" +
  "\\u{1f201}\\u{1f21a}\\u{1f22f}\\u{1f232}-\\u{1f236}\\u{1f238}-\\u{1f23a}\\u{1f250}\\u{1f251}" +
  "\\u231a\\u231b\\u23e9-\\u23ec\\u23f0\\u23f3\\u25fd\\u25fe\\u2614\\u2615\\u2648-\\u2653\\u267f" +
  "\\u2693\\u26a1\\u26aa\\u26ab\\u26bd\\u26be\\u26c4\\u26c5\\u26ce\\u26d4\\u26ea\\u26f2\\u26f3" +
  "\\u26f5\\u26fa\\u26fd\\u2705\\u270a\\u270b\\u2728\\u274c\\u274e\\u2753-\\u2755\\u2757" +
  "\\u2795-\\u2797\\u27b0\\u27bf\\u2b1b\\u2b1c\\u2b50\\u2b55"
// Without U+FE0F these are shown as text.
const COLORED_WITH_SELECTOR =
  "\\u00a9\\u00ae\\u203c\\u2049\\u2122\\u2139\\u2194-\\u2199\\u21a9\\u21aa\\u2328\\u23cf" +
  "\\u23ed-\\u23ef\\u23f1\\u23f2\\u23f8-\\u23fa\\u24c2\\u25aa\\u25ab\\u25b6\\u25c0\\u25fb\\u25fc" +
  "\\u2600-\\u2604\\u260e\\u2611\\u2618\\u261d\\u2620\\u2622\\u2623\\u2626\\u262a\\u262e\\u262f" +
  "\\u2638-\\u263a\\u2640\\u2642\\u265f\\u2660\\u2663\\u2665\\u2666\\u2668\\u267b\\u267e\\u2692" +
  "\\u2694-\\u2697\\u2699\\u269b\\u269c\\u26a0\\u26a7\\u26b0\\u26b1\\u26c8\\u26cf\\u26d1\\u26d3" +
  "\\u26e9\\u26f0\\u26f1\\u26f4\\u26f7-\\u26f9\\u2702\\u2708\\u2709\\u270c\\u270d\\u270f\\u2712" +
  "\\u2714\\u2716\\u271d\\u2721\\u2733\\u2734\\u2744\\u2747\\u2763\\u2764\\u27a1\\u2934\\u2935" +
  "\\u2b05-\\u2b07\\u3030\\u303d\\u3297\\u3299" +
  "\\u{1f170}\\u{1f171}\\u{1f17e}\\u{1f17f}\\u{1f202}\\u{1f237}"
const SKIN_TONES = "\\u{1f3fb}-\\u{1f3ff}"
const EMOJI =
  "(?:[\\u{1f1e6}-\\u{1f1ff}]{2}|[0-9#*]\\ufe0f\\u20e3|" +
  `(?:[${COLORED}]|[${COLORED_WITH_SELECTOR}]\\ufe0f|[\\u261d\\u26f9\\u270c\\u270d][${SKIN_TONES}])` +
  `[\\ufe0f${SKIN_TONES}]{0,2}[\\u{e0020}-\\u{e007f}]{0,8})`
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

// Measures and shortens text by the same rules as the server.

import { boundaryBefore } from "./graphemes.js"

/**
 * White space, joiners, variation selectors, tags, fillers, annotation characters, the placeholder
 * of an object, the empty Braille pattern and others that are drawn as nothing.
 */
const BLANK = String.raw`[\p{Default_Ignorable_Code_Point}\s\ufff9-\ufffc\u{1d159}\u2800\u{16fe4}\u{13430}-\u{13442}]`
const BLANK_TEXT = new RegExp(`^${BLANK}*$`, "u")
const BLANK_RUNS = new RegExp(`${BLANK}+`, "gu")

/**
 * Whether a text is empty or shows nothing but space: the server refuses it. chat/text has the same
 * rule.
 *
 * @param {string} text
 */
export function isBlank(text) {
  return BLANK_TEXT.test(text)
}

/**
 * The number of characters as the server counts them: code points, not UTF-16 code units.
 *
 * @param {string} text
 */
export function characterCount(text) {
  let count = 0
  for (let index = 0; index < text.length; index += 1) {
    if (!isLowSurrogate(text, index)) count += 1
  }
  return count
}

/**
 * The number of characters that are not blank.
 *
 * @param {string} text
 */
export function visibleCharacterCount(text) {
  return characterCount(text.replace(BLANK_RUNS, ""))
}

/**
 * The position after so many characters of a text, from a position on; the end of the text if there
 * are not so many.
 *
 * @param {string} text
 * @param {number} start
 * @param {number} characters
 */
export function positionAfter(text, start, characters) {
  let position = start
  for (let count = 0; count < characters && position < text.length; count += 1) {
    position += (text.codePointAt(position) ?? 0) > 0xffff ? 2 : 1
  }
  return position
}

/**
 * The beginning of a text, which ends at a grapheme.
 *
 * @param {string} text
 * @param {number} maxCharacters
 */
export function truncate(text, maxCharacters) {
  return text.slice(0, boundaryBefore(text, positionAfter(text, 0, maxCharacters)))
}

/**
 * "1 message", "2 messages".
 *
 * @param {number} count
 * @param {string} noun in the singular
 */
export function formatCount(count, noun) {
  return `${count.toLocaleString()} ${noun}${count === 1 ? "" : "s"}`
}

/**
 * Whether a code unit is the second half of a character.
 *
 * @param {string} text
 * @param {number} index
 */
function isLowSurrogate(text, index) {
  const unit = text.charCodeAt(index)
  if (unit < 0xdc00 || unit > 0xdfff || index === 0) return false
  const before = text.charCodeAt(index - 1)
  return before >= 0xd800 && before <= 0xdbff
}

/**
 * Two texts, one above the other; either may be empty.
 *
 * @param {string} upper
 * @param {string} lower
 */
export function joinTexts(upper, lower) {
  return upper === "" || lower === "" ? upper + lower : `${upper}\n${lower}`
}

// Finds where a text can be cut: between graphemes, which are what a reader takes for one
// character. A flag, a family emoji and a letter with accents are several code points each.

/** @typedef {(text: string, index: number) => number} FindBoundary */

const EXTENDS_GRAPHEME = /^[\p{M}\p{Emoji_Modifier}\u200c\u200d\u{e0020}-\u{e007f}]/u
const ENDS_IN_HALF_FLAG =
  /(?<!\p{Regional_Indicator})(?:\p{Regional_Indicator}{2})*\p{Regional_Indicator}$/u
const JOINER = "\u200d"

/** @type {Intl.Segmenter | undefined} created when it is needed, which takes milliseconds */
let segmenter

/**
 * The last position up to an index where a text can be cut. Where that would leave nothing, because
 * a single grapheme is longer, the last position between two code points.
 *
 * @param {string} text
 * @param {number} index
 * @param {FindBoundary} [find]
 */
export function boundaryBefore(text, index, find = findBoundary) {
  if (index >= text.length) return text.length
  return find(text, index) || codePointStart(text, index)
}

/**
 * The first grapheme of a text, or "".
 *
 * @param {string} text
 * @param {FindBoundary} [find]
 */
export function firstGrapheme(text, find = findBoundary) {
  let end = 1
  while (end < text.length && find(text, end) === 0) end += 1
  return text.slice(0, end)
}

/** @type {FindBoundary} */
function findBoundary(text, index) {
  const isBetweenLetters = isWholeGrapheme(text, index - 1) && isWholeGrapheme(text, index)
  if (isBetweenLetters) return index
  if (!("Segmenter" in Intl)) return approximateBoundary(text, index)
  segmenter ??= new Intl.Segmenter(undefined, { granularity: "grapheme" })
  const upToNext = text.slice(0, index + 2) // what follows does not matter
  return segmenter.segment(upToNext).containing(index)?.index ?? 0
}

/**
 * Whether a code unit is a European letter without further accents or a Chinese character: between
 * two of them is always a boundary.
 *
 * @param {string} text
 * @param {number} index
 */
function isWholeGrapheme(text, index) {
  const unit = text.charCodeAt(index)
  return (unit >= 0x20 && unit < 0x300) || (unit >= 0x3400 && unit <= 0x9fff)
}

/**
 * For browsers without Intl.Segmenter: correct for emoji, flags and accents.
 *
 * @type {FindBoundary}
 */
export function approximateBoundary(text, index) {
  let boundary = codePointStart(text, index)
  while (boundary > 0 && isInsideGrapheme(text, boundary)) {
    boundary = codePointStart(text, boundary - 1)
  }
  return boundary
}

/**
 * @param {string} text
 * @param {number} index between two code points
 */
function isInsideGrapheme(text, index) {
  const before = text.slice(0, index)
  const after = text.slice(index, index + 2)
  if (EXTENDS_GRAPHEME.test(after) || before.endsWith(JOINER)) return true
  return /^\p{Regional_Indicator}/u.test(after) && ENDS_IN_HALF_FLAG.test(before)
}

/**
 * @param {string} text
 * @param {number} index
 * @returns {number} the index, or the one before it if it is inside a surrogate pair
 */
function codePointStart(text, index) {
  const isInsidePair = (text.codePointAt(index - 1) ?? 0) > 0xffff
  return isInsidePair ? index - 1 : index
}

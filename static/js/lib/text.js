// Measures, shortens and splits text by the same rules as the server.

const WHITE_SPACE = /\s*/y

/**
 * The number of characters as the server counts them: code points, not UTF-16 code units.
 *
 * @param {string} text
 */
export function characterCount(text) {
  return [...text].length
}

/**
 * The first characters of a text. A character outside the Basic Multilingual Plane is two UTF-16
 * code units; half of it would be refused by the server.
 *
 * @param {string} text
 * @param {number} maxCharacters
 */
export function truncate(text, maxCharacters) {
  const codeUnits = text.slice(0, 2 * maxCharacters) // enough, so that a long text costs no time
  return [...codeUnits].slice(0, maxCharacters).join("")
}

/**
 * Splits a text into parts, at the end of a line or word where possible. White space around each
 * part is dropped. The time is linear in the length of the text.
 *
 * @param {string} text that does not begin with white space
 * @param {number} maxCharacters of a part
 */
export function splitText(text, maxCharacters) {
  /** @type {string[]} */
  const parts = []
  let start = 0
  while (start < text.length) {
    const end = endOfPart(text, start, maxCharacters)
    parts.push(text.slice(start, end).trimEnd())
    start = skipWhiteSpace(text, end)
  }
  return parts
}

/**
 * @param {string} text
 * @param {number} start
 * @param {number} maxCharacters
 */
function endOfPart(text, start, maxCharacters) {
  const longest = truncate(text.slice(start, start + 2 * maxCharacters), maxCharacters)
  if (start + longest.length === text.length) return text.length
  const lastBreak = Math.max(longest.lastIndexOf("\n"), longest.lastIndexOf(" "))
  return start + (lastBreak < 0 ? longest.length : lastBreak + 1)
}

/**
 * @param {string} text
 * @param {number} start
 */
function skipWhiteSpace(text, start) {
  WHITE_SPACE.lastIndex = start
  WHITE_SPACE.test(text)
  return WHITE_SPACE.lastIndex
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

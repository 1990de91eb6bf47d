// Finds out whether a text mentions somebody by name.

const WORD_CHARACTER = "[\\p{L}\\p{N}\\p{M}_]"
const SCRIPTS_WITHOUT_SPACES =
  /[\p{sc=Han}\p{sc=Hiragana}\p{sc=Katakana}\p{sc=Thai}\p{sc=Lao}\p{sc=Khmer}\p{sc=Myanmar}]/u
const REGEXP_CHARACTERS = /[\\^$.*+?()[\]{}|/]/g

/**
 * The pattern of the last name: a page nearly always looks for the same one.
 *
 * @type {{ name: string, pattern: RegExp | null }}
 */
let cached = { name: "", pattern: null }

/**
 * Whether a text contains a name as a word of its own, in upper or lower case.
 *
 * @param {string} text
 * @param {string} name
 */
export function mentionsName(text, name) {
  if (cached.name !== name) cached = { name, pattern: namePattern(name) }
  return cached.pattern?.test(foldCase(text)) ?? false
}

/**
 * @param {string} name
 * @returns {RegExp | null} null for a blank name
 */
function namePattern(name) {
  const folded = foldCase(name.trim())
  if (folded === "") return null
  const characters = [...folded]
  const first = characters[0]
  const last = characters[characters.length - 1]
  const start = SCRIPTS_WITHOUT_SPACES.test(first) ? "" : `(?<!${WORD_CHARACTER})`
  const end = SCRIPTS_WITHOUT_SPACES.test(last) ? "" : `(?!${WORD_CHARACTER})`
  return new RegExp(start + folded.replace(REGEXP_CHARACTERS, "\\$&") + end, "u")
}

/**
 * Upper case first, so that "Straße" and "STRASSE" become the same text.
 *
 * @param {string} text
 */
function foldCase(text) {
  return text.normalize().toUpperCase().toLowerCase()
}

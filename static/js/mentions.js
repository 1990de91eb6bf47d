// Whether a message names somebody: as a word of its own, in any case, with an @ or without.

const WORD = "[\\p{L}\\p{N}\\p{M}_]"
const UNSPACED = /[\p{sc=Han}\p{sc=Hiragana}\p{sc=Katakana}\p{sc=Thai}\p{sc=Lao}\p{sc=Khmer}\p{sc=Myanmar}]/u // their words stand side by side

/** "Straße" and "STRASSE" are one name. @param {string} text */
const folded = (text) => text.normalize().toUpperCase().toLowerCase()

/** @type {{ name: string, found: RegExp | null }} */
let last = { name: "", found: null }

/** @param {string} name */
function pattern(name) {
  const wanted = folded(name.trim())
  if (!wanted) return null
  const letters = [...wanted]
  const before = UNSPACED.test(letters[0]) ? "" : `(?<!${WORD})`
  const after = UNSPACED.test(letters[letters.length - 1]) ? "" : `(?!${WORD})`
  return new RegExp(before + wanted.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&") + after, "u")
}

/** @param {string} message @param {string} name */
export function mentions(message, name) {
  if (last.name !== name) last = { name, found: pattern(name) }
  return last.found?.test(folded(message)) ?? false
}

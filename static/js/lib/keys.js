// Recognizes the letters of keyboard shortcuts in all keyboard layouts.

const LATIN_LETTER = /^[a-z]$/i
/** The names of keys, such as "Enter", are ASCII too. */
const ASCII_OR_LATIN = /[\p{ASCII}\p{Script=Latin}]/u
const LETTER_CODE = /^Key([A-Z])$/

/**
 * The Latin letter of a key, in lower case, also with Caps Lock. In layouts of other scripts, such
 * as Cyrillic or Greek, it is the letter at the same place of the US layout.
 *
 * @param {Pick<KeyboardEvent, "key" | "code">} event
 * @returns {string} empty when the key has no letter
 */
export function latinLetter({ key, code }) {
  if (LATIN_LETTER.test(key)) return key.toLowerCase()
  if (ASCII_OR_LATIN.test(key)) return ""
  return LETTER_CODE.exec(code)?.[1].toLowerCase() ?? ""
}

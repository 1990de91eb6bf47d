// Compares the names of people.

const COMBINING_MARKS = /\p{M}/gu
/** Joiners and other characters that are part of names, but have no width. */
const INVISIBLE_CHARACTERS = /\p{Default_Ignorable_Code_Point}/gu
const ALPHABETS_LIKE_LATIN = new RegExp(
  ["Greek", "Cyrillic", "Armenian", "Cherokee", "Coptic", "Lisu"]
    .map((script) => `\\p{Script=${script}}`)
    .join("|"),
  "u",
)
/** Letters of European languages that are not confused with those from a to z. */
const UNMISTAKABLE_LETTERS = "ßæœðþ"
const RARE_LATIN_LETTERS = new RegExp(`(?![a-z${UNMISTAKABLE_LETTERS}])\\p{Script=Latin}`, "u")

/** @type {[RegExp, string][]} letters that look like another one, and that one */
const SIMILAR_LETTERS = [
  [/[ıil1|]/g, "l"],
  [/[0ø]/g, "o"],
  [/ł/g, "l"],
  [/đ/g, "d"],
  [/rn/g, "m"],
  [/vv/g, "w"],
  [/\s+/g, " "],
]

/**
 * A name in the form in which it is compared: without accents, case and surrounding spaces.
 *
 * @param {string} name
 */
export function normalizeName(name) {
  return name.normalize("NFKD").replace(COMBINING_MARKS, "").toLowerCase().trim()
}

/**
 * What a name looks like: two names with the same skeleton are easily confused.
 *
 * Returns "" for names with letters of other alphabets that may look like Latin ones, and with rare
 * Latin letters: they may be confused with any name.
 *
 * @param {string} name
 */
export function nameSkeleton(name) {
  if (ALPHABETS_LIKE_LATIN.test(name)) return ""
  let skeleton = normalizeName(name.replace(INVISIBLE_CHARACTERS, ""))
  for (const [letters, replacement] of SIMILAR_LETTERS) {
    skeleton = skeleton.replace(letters, replacement)
  }
  return RARE_LATIN_LETTERS.test(skeleton) ? "" : skeleton
}

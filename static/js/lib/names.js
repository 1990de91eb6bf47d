// Compares the names of people.

const COMBINING_MARKS = /\p{M}/gu
const OTHER_ALPHABETS = /[\p{Script=Greek}\p{Script=Cyrillic}]/u

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
 * Returns "" for Greek and Cyrillic names, whose letters may look like Latin ones: they may be
 * confused with any name.
 *
 * @param {string} name
 */
export function nameSkeleton(name) {
  if (OTHER_ALPHABETS.test(name)) return ""
  return normalizeName(name)
    .replace(/[il1|]/g, "l")
    .replaceAll("0", "o")
}

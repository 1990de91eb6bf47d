// Compares the names of people.

const COMBINING_MARKS = /\p{M}/gu
/** Joiners and other characters that are part of names, but have no width. */
const INVISIBLE_CHARACTERS = /\p{Default_Ignorable_Code_Point}/gu
/** Alphabets of which most capital letters are drawn like Latin ones. */
const LATIN_LOOKALIKES = /[\p{Script=Cherokee}\p{Script=Coptic}\p{Script=Lisu}]/u
/** Alphabets of which some letters look like Latin ones. */
const ALPHABETS_LIKE_LATIN = /[\p{Script=Greek}\p{Script=Cyrillic}\p{Script=Armenian}]/u
const LATIN = /\p{Script=Latin}/u
/** Greek, Cyrillic and Armenian letters, and the Latin ones that they look like (Unicode TR39). */
const LATIN_LETTERS = new Map(
  [
    ["αβεζικορτχγω", "abezikoptxyw"],
    ["авгекмнорстухьѕіјһԁԛԝӏүѵ", "abrekmhopctyxbsijhdqwlyv"],
    ["օսհոռգցզյլա", "ouhnnqgqjlw"],
  ].flatMap(([letters, latin]) => {
    return [...letters].map((letter, index) => /** @type {const} */ ([letter, latin[index]]))
  }),
)
/** Stands in a skeleton for a letter that may look like any other. */
const ANY_LETTER = "\ufffd"
const MAX_CACHED_SKELETONS = 1000
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

/** @type {Map<string, string>} by name */
const skeletons = new Map()

/**
 * What a name looks like: two names with the same skeleton are easily confused. U+FFFD stands for
 * a letter that may look like any other.
 *
 * @param {string} name
 */
export function nameSkeleton(name) {
  const known = skeletons.get(name)
  if (known !== undefined) return known
  if (skeletons.size >= MAX_CACHED_SKELETONS) skeletons.clear()
  const skeleton = createSkeleton(name)
  skeletons.set(name, skeleton)
  return skeleton
}

/** @param {string} name */
function createSkeleton(name) {
  const normalized = normalizeName(name.replace(INVISIBLE_CHARACTERS, ""))
  const isMixed = LATIN.test(normalized) && ALPHABETS_LIKE_LATIN.test(normalized)
  let skeleton = [...normalized].map((letter) => LATIN_LETTERS.get(letter) ?? letter).join("")
  for (const [letters, replacement] of SIMILAR_LETTERS) {
    skeleton = skeleton.replace(letters, replacement)
  }
  return [...skeleton]
    .map((letter) => (isAmbiguous(letter, isMixed) ? ANY_LETTER : letter))
    .join("")
}

/**
 * Whether a letter may look like any other one.
 *
 * @param {string} letter
 * @param {boolean} isMixed whether the name has letters of several alphabets, as hardly any name
 *   has
 */
function isAmbiguous(letter, isMixed) {
  if (LATIN_LOOKALIKES.test(letter) || RARE_LATIN_LETTERS.test(letter)) return true
  return isMixed && ALPHABETS_LIKE_LATIN.test(letter)
}

/**
 * The names that more than one of these people has, or that are easily confused with the name of
 * another one.
 *
 * @param {Iterable<{ mark: string, name: string }>} people
 * @returns {Set<string>}
 */
export function confusableNames(people) {
  /** @type {Map<string, { marks: Set<string>, names: Set<string> }>} by skeleton */
  const groups = new Map()
  for (const { mark, name } of people) {
    if (name === "" || mark === "") continue
    const skeleton = nameSkeleton(name)
    const group = groups.get(skeleton) ?? { marks: new Set(), names: new Set() }
    group.marks.add(mark)
    group.names.add(name)
    groups.set(skeleton, group)
  }
  /** @type {Set<string>} */
  const confusable = new Set()
  const all = [...groups.keys()]
  const ambiguous = all.filter((skeleton) => skeleton.includes(ANY_LETTER))
  for (const [skeleton, { marks, names }] of groups) {
    const candidates = skeleton.includes(ANY_LETTER) ? all : ambiguous
    const others = skeletonsLike(skeleton, candidates)
    const marksOfOthers = others.flatMap((other) => [...(groups.get(other)?.marks ?? [])])
    const isConfusable = new Set([...marks, ...marksOfOthers]).size > 1
    if (isConfusable) for (const name of names) confusable.add(name)
  }
  return confusable
}

/**
 * The other skeletons that may look like one.
 *
 * @param {string} skeleton
 * @param {string[]} candidates
 */
function skeletonsLike(skeleton, candidates) {
  const letters = [...skeleton]
  return candidates.filter((other) => {
    if (other === skeleton) return false
    const otherLetters = [...other]
    return letters.length === otherLetters.length && letters.every(isLikeOther, otherLetters)
  })
}

/**
 * Whether a letter may look like the one at the same place of the other skeleton.
 *
 * @this {string[]} the letters of the other skeleton
 * @param {string} letter
 * @param {number} index
 */
function isLikeOther(letter, index) {
  const other = this[index]
  return letter === other || letter === ANY_LETTER || other === ANY_LETTER
}

/**
 * Why a name was refused, for where a button offers the free one that the server suggests.
 *
 * @param {string} message of the refusal
 * @param {string} suggestion
 */
export function withoutSuggestion(message, suggestion) {
  return message.replace(` Use "${suggestion}"?`, "")
}

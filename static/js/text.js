// What somebody has written: what it asks for, whom it names, how long it is, and how it is cut when it is too long.

/** @typedef {{ say: string } | { command: string, rest: string } | { wrong: string }} Order */

const COMMAND = /^\/([a-z]+)(?:\s+([^]*))?$/i
const KNOWN = ["nick", "help", "who", "leave"]
const WORD = "[\\p{L}\\p{N}\\p{M}_]"
const UNSPACED = /[\p{sc=Han}\p{sc=Hiragana}\p{sc=Katakana}\p{sc=Thai}\p{sc=Lao}\p{sc=Khmer}\p{sc=Myanmar}]/u // their words stand side by side

/** Two slashes say one; /me is said in italics, line by line, as every client reads it. @param {string} text @returns {Order} */
export function order(text) {
  const [found, name = "", given = ""] = COMMAND.exec(text) ?? []
  const [command, rest] = [name.toLowerCase(), given.trim()]
  if (!found) return { say: text.startsWith("//") ? text.slice(1) : text }
  if (command === "me" && rest) return { say: rest.replace(/\S.*\S|\S/g, "*$&*") }
  if (command === "me") return { wrong: "Write what you do behind it: /me waves" }
  if (KNOWN.includes(command)) return { command, rest }
  return { wrong: `There is no command /${name}.` }
}

/** As the server counts. @param {string} text */
export const lengthOf = (text) => [...text].length

/**
 * The first characters of a text, as the server counts them: a character outside the Basic Multilingual Plane is two
 * UTF-16 code units, and half of it would be refused.
 * @param {string} text @param {number} max
 */
export const truncate = (text, max) => [...text.slice(0, 2 * max)].slice(0, max).join("")

const WHITE_SPACE = /\s*/y

/**
 * Splits a text into parts of at most `most` characters, at the end of a line or a word where there is one. White space at
 * both ends of a part is dropped. Each part looks only at its own stretch of the text, so a long text takes linear time.
 * @param {string} text that begins with something to see @param {number} most
 */
export function parts(text, most) {
  /** @type {string[]} */ const found = []
  let start = 0
  while (start < text.length) {
    const end = endOfPart(text, start, most)
    found.push(text.slice(start, end).trimEnd())
    WHITE_SPACE.lastIndex = end
    WHITE_SPACE.test(text)
    start = WHITE_SPACE.lastIndex
  }
  return found
}

/** @param {string} text @param {number} start @param {number} most */
function endOfPart(text, start, most) {
  const fits = truncate(text.slice(start, start + 2 * most), most)
  if (start + fits.length === text.length) return text.length
  const breakAt = Math.max(fits.lastIndexOf("\n"), fits.lastIndexOf(" "))
  return start + (breakAt < 0 ? fits.length : breakAt + 1)
}

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

/** Whether a message names somebody: as a word of its own, in any case, with an @ or without. @param {string} message @param {string} name */
export function mentions(message, name) {
  if (last.name !== name) last = { name, found: pattern(name) }
  return last.found?.test(folded(message)) ?? false
}

/** One message, two messages. @param {number} number @param {string} what */
export const counted = (number, what) => `${number.toLocaleString()} ${what}${number === 1 ? "" : "s"}`

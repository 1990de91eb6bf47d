// What hangs on a message: the line it replies to, how people have reacted, and the button that unfolds a long one.

/** @import { Row } from "./wire.js" */
/** @typedef {(name: string) => HTMLElement} Templates */

const LINES = 25
const CHARACTERS = 2000
const EARLIER = "an earlier message"
const GONE = "message deleted"
const HIDDEN = "somebody you ignore"

/** The first line of a message, to know it by. @param {Pick<Row, "message" | "deleted"> | undefined} row */
export const firstLine = (row) => (row?.deleted ? GONE : (row?.message.trim().split("\n", 1)[0] ?? EARLIER))

/**
 * @param {HTMLElement} element @param {number | undefined} to the place of what it replies to
 * @param {Row | undefined} original @param {{ template: Templates, hidden: boolean }} how
 */
export function drawReply(element, to, original, { template, hidden }) {
  const there = element.querySelector(".reply")
  if (!to) return there?.remove()
  const line = there ?? template("reply")
  line.setAttribute("href", `#m-${to}`)
  write(line, ".reply__name", hidden ? "" : (original?.handle ?? ""))
  write(line, ".reply__text", hidden ? HIDDEN : firstLine(original))
  if (!there) element.querySelector(".message__text")?.before(line)
}

/** @param {HTMLElement} element @param {Record<string, string[]>} reactions @param {string} mark one's own @param {Templates} template */
export function drawReactions(element, reactions, mark, template) {
  const there = element.querySelector(".reactions")
  const all = Object.entries(reactions)
  if (!all.length) return there?.remove()
  const line = there ?? template("reactions")
  const known = new Map(Array.from(/** @type {Iterable<HTMLElement>} */ (line.children), (button) => [button.dataset.emoji ?? "", button]))
  // What stays is not moved: a press that has begun on it must not be lost.
  for (const [emoji, button] of known) if (!Object.hasOwn(reactions, emoji)) button.remove()
  for (const [emoji, marks] of all) count(known.get(emoji) ?? line.appendChild(template("reaction")), emoji, marks, mark)
  if (!there) element.querySelector(".message__body")?.append(line)
}

/** @param {HTMLElement} button @param {string} emoji @param {string[]} marks @param {string} mark */
function count(button, emoji, marks, mark) {
  button.dataset.emoji = emoji
  button.ariaPressed = String(marks.includes(mark))
  write(button, ".reaction__emoji", emoji)
  write(button, ".reaction__count", String(marks.length))
}

/** Text enters the page as text. @param {Element} element @param {string} piece @param {string} text */
export function write(element, piece, text) {
  const found = /** @type {HTMLElement} */ (element.querySelector(piece))
  if (found.textContent !== text) found.textContent = text
  return found
}

/** The mark of a person, on which their colour and the letter of their face hang. @param {HTMLElement} element @param {string} piece @param {string} mark @param {string} name */
export function writeMark(element, piece, mark, name) {
  Object.assign(write(element, piece, mark.slice(0, 4)).dataset, { hue: mark.slice(0, 1), initial: [...name].slice(0, 1) })
}

/** A screenful is enough to know whether one wants the rest. @param {string} text */
export function isLong(text) {
  return text.length > CHARACTERS || text.split("\n", LINES + 1).length > LINES
}

/** Folds a message, or leaves it as it is when it is short; one that was opened stays open. @param {HTMLElement} element @param {string} text @param {() => HTMLElement} button a fresh one */
export function fold(element, text, button) {
  const there = element.querySelector(".message__more")
  if (isLong(text) && there) return
  there?.remove()
  delete element.dataset.folded
  if (!isLong(text)) return
  element.dataset.folded = "true"
  element.querySelector(".message__text")?.after(button())
}

/** @param {HTMLElement} element @param {HTMLElement} button */
export function turn(element, button) {
  const folded = element.dataset.folded !== "true"
  element.dataset.folded = String(folded)
  button.ariaExpanded = String(!folded)
  button.textContent = folded ? "Show more" : "Show less"
}

// Draws the parts of a message: its reply, its reactions, its author's picture and mark, and the
// buttons of a long text, of programs and of folded messages.

import { firstGrapheme } from "../lib/graphemes.js"
import { firstLine } from "../lib/plain_text.js"
import { truncate } from "../lib/text.js"
import { setText } from "./dom.js"

/** @import { Row } from "../wire.js" */
/** @import { Templates } from "./dom.js" */

/**
 * How a person is shown.
 *
 * @typedef {object} Face
 * @property {string} hue the number of a color, or "own"
 * @property {string} name "" when it is not known
 */

const MAX_LINES = 25
const MAX_CHARACTERS = 2000
/**
 * How much of a mark is shown: 40 bits. A busy server creates at most 2^29 identities a day, so
 * nobody gets the shown part of another person's mark by trying. The template _message.html has the
 * same number.
 */
const SHOWN_MARK_CHARACTERS = 10
/** The template _message.html has the same number. */
const MAX_FACES = 3
const FOLDABLE = ".message:is([data-kind], [data-state='deleted'])"
const MAX_LABEL_CHARACTERS = 40
const NOT_LOADED = "Earlier message"
const DELETED = "Message deleted"
const DELETED_BY_HOST = "Message deleted by a host"
const IGNORED = "Message from someone you ignore"

/**
 * What is shown instead of a deleted message.
 *
 * @param {Pick<Row, "details">} row
 */
export function deletedText({ details }) {
  return details?.action === "delete" ? DELETED_BY_HOST : DELETED
}

/**
 * The first line of a message, which identifies it elsewhere.
 *
 * @param {Pick<Row, "message" | "deleted" | "details"> | undefined} row
 */
export function previewText(row) {
  if (!row) return NOT_LOADED
  if (row.deleted) return deletedText(row)
  return firstLine(row.message)
}

/**
 * @typedef {object} ReactionOptions
 * @property {string} ownMark
 * @property {(mark: string) => Face} faceOf
 * @property {Templates} cloneTemplate
 */

/**
 * Shows the message that another one replies to.
 *
 * @param {HTMLElement} message
 * @param {number | undefined} seq of the original; undefined: the message is no reply
 * @param {{ original: Row | undefined, isIgnored: boolean, cloneTemplate: Templates }} options
 */
export function drawReply(message, seq, { original, isIgnored, cloneTemplate }) {
  const existing = message.querySelector(".reply")
  if (!seq) {
    existing?.remove()
    return
  }
  const reply = existing ?? cloneTemplate("reply")
  reply.setAttribute("href", `#m-${seq}`)
  setText(reply, ".reply__name", isIgnored ? "" : (original?.handle ?? ""))
  setText(reply, ".reply__text", isIgnored ? IGNORED : previewText(original))
  if (!existing) message.querySelector(".message__text")?.before(reply)
}

/**
 * @param {HTMLElement} message
 * @param {Record<string, string[]>} reactions the marks of those who reacted, by emoji
 * @param {ReactionOptions} options
 */
export function drawReactions(message, reactions, options) {
  const { cloneTemplate } = options
  const existing = message.querySelector(".reactions")
  const entries = Object.entries(reactions)
  if (entries.length === 0) {
    existing?.remove()
    return
  }
  const list = existing ?? cloneTemplate("reactions")
  const buttons = removeOutdatedButtons(list, reactions)
  for (const [emoji, marks] of entries) {
    const button = buttons.get(emoji) ?? list.appendChild(cloneTemplate("reaction"))
    updateReaction(button, emoji, marks, options)
  }
  if (!existing) message.querySelector(".message__body")?.append(list)
}

/**
 * Buttons that remain are not moved: that would lose a press that has begun on them.
 *
 * @param {Element} list
 * @param {Record<string, string[]>} reactions
 * @returns {Map<string, HTMLElement>} the buttons that remain, by emoji
 */
function removeOutdatedButtons(list, reactions) {
  /** @type {Map<string, HTMLElement>} */
  const remaining = new Map()
  for (const button of /** @type {HTMLElement[]} */ ([...list.children])) {
    const emoji = button.dataset.emoji ?? ""
    if (Object.hasOwn(reactions, emoji)) remaining.set(emoji, button)
    else button.remove()
  }
  return remaining
}

/**
 * Shows the first of those who reacted, and how many there are.
 *
 * @param {HTMLElement} button
 * @param {string} emoji
 * @param {string[]} marks
 * @param {ReactionOptions} options
 */
function updateReaction(button, emoji, marks, { ownMark, faceOf, cloneTemplate }) {
  button.dataset.emoji = emoji
  button.ariaPressed = String(marks.includes(ownMark))
  button.toggleAttribute("data-many", marks.length > MAX_FACES)
  setText(button, ".reaction__emoji", emoji)
  setText(button, ".reaction__count", String(marks.length))
  const faces = /** @type {HTMLElement} */ (button.querySelector(".reaction__faces"))
  drawFaces(
    faces,
    marks.slice(0, MAX_FACES).map((mark) => faceOf(mark)),
    cloneTemplate,
  )
}

/**
 * Shows the pictures of people; elements that exist are used again.
 *
 * @param {HTMLElement} container
 * @param {Face[]} faces
 * @param {Templates} cloneTemplate
 */
export function drawFaces(container, faces, cloneTemplate) {
  while (container.children.length > faces.length) container.lastElementChild?.remove()
  for (const [index, face] of faces.entries()) {
    const element = container.children[index] ?? container.appendChild(cloneTemplate("face"))
    setFace(/** @type {HTMLElement} */ (element), face)
  }
}

/**
 * Makes an avatar show a person, or nobody. CSS has the colors, and shows the letter.
 *
 * @param {HTMLElement} avatar
 * @param {Face | null} face null: the message is deleted, and its author unknown
 */
export function setFace(avatar, face) {
  if (!face) {
    delete avatar.dataset.hue
    delete avatar.dataset.initial
    return
  }
  const { hue, name } = face
  const initial = firstGrapheme(name.trim())
  if (avatar.dataset.hue !== hue) avatar.dataset.hue = hue
  if (avatar.dataset.initial !== initial) avatar.dataset.initial = initial
}

/**
 * Shows beside a name that somebody is host or moderator.
 *
 * @param {Element} element contains the badge
 * @param {string} role "" for nobody special
 */
export function setBadge(element, role) {
  setText(element, ".badge", role)
}

/**
 * @param {HTMLElement} element
 * @param {string} selector
 * @param {string} mark
 */
export function setMark(element, selector, mark) {
  setText(element, selector, mark.slice(0, SHOWN_MARK_CHARACTERS))
}

/**
 * Whether a text is long enough to be collapsed.
 *
 * @param {string} text
 */
export function isLong(text) {
  if (text.length > MAX_CHARACTERS) return true
  const lines = text.split("\n", MAX_LINES + 1)
  return lines.length > MAX_LINES
}

/**
 * Collapses a long message; one that the reader has expanded stays expanded.
 *
 * @param {HTMLElement} message
 * @param {string} text
 * @param {Templates} cloneTemplate
 */
export function collapseIfLong(message, text, cloneTemplate) {
  const existing = message.querySelector(".message__expand")
  if (existing && isLong(text)) return
  existing?.remove()
  delete message.dataset.collapsed
  if (!isLong(text)) return
  message.dataset.collapsed = "true"
  message.querySelector(".message__text")?.after(cloneTemplate("expand"))
}

/**
 * Expands or collapses a long message.
 *
 * @param {HTMLElement} message
 * @param {HTMLElement} button
 */
export function toggleCollapsed(message, button) {
  const isCollapsed = message.dataset.collapsed !== "true"
  message.dataset.collapsed = String(isCollapsed)
  button.ariaExpanded = String(!isCollapsed)
  button.textContent = isCollapsed ? "Show more" : "Show less"
  labelButtons(message)
}

/**
 * Gives the buttons of a message names that tell them apart from those of other messages.
 *
 * @param {HTMLElement} message
 */
export function labelButtons(message) {
  const [name, time, text] = ["name", "time", "text"].map((part) => {
    return message.querySelector(`.message__${part}`)?.textContent?.trim() ?? ""
  })
  const beginning = truncate(text.split("\n", 1)[0], MAX_LABEL_CHARACTERS)
  for (const button of message.querySelectorAll("button")) {
    const action = button.textContent?.trim() || button.title
    const label = [action, name, time, beginning].filter((part) => part !== "").join(", ")
    if (button.ariaLabel !== label) button.ariaLabel = label
  }
}

/**
 * A message that may be folded has a button that shows the ones before it.
 *
 * @param {HTMLElement} message
 * @param {boolean} isFoldable whether it is a system message or a deleted one
 * @param {Templates} cloneTemplate
 */
export function drawFoldButton(message, isFoldable, cloneTemplate) {
  const existing = message.querySelector(".message__fold")
  if (isFoldable === (existing !== null)) return
  if (existing) existing.remove()
  else message.querySelector(".message__actions")?.before(cloneTemplate("fold"))
}

/**
 * Shows the folded messages before one.
 *
 * @param {Element} message
 */
export function unfold(message) {
  /** @type {Element | null} */
  let folded = message
  while (folded?.matches(FOLDABLE)) {
    folded.setAttribute("data-unfolded", "")
    folded = folded.previousElementSibling
  }
}

/**
 * Gives programs in a message buttons.
 *
 * @param {HTMLElement} message
 * @param {Templates} cloneTemplate
 */
export function addCodeTools(message, cloneTemplate) {
  for (const fence of message.querySelectorAll(".fence")) {
    if (fence.parentElement?.matches(".code")) continue
    const code = document.createElement("div")
    code.className = "code"
    fence.setAttribute("tabindex", "0") // so that the keyboard can scroll it
    fence.replaceWith(code)
    code.append(fence, cloneTemplate("code-tools"))
  }
}

/**
 * @param {HTMLElement} button of a program
 */
export function toggleWrap(button) {
  const code = /** @type {HTMLElement} */ (button.closest(".code"))
  const isWrapped = code.toggleAttribute("data-wrap")
  button.ariaPressed = String(isWrapped)
}

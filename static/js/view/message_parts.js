// Draws the parts of a message: its reply, its reactions, its author's mark, and the button of a
// long text.

import { firstGrapheme } from "../lib/graphemes.js"
import { setText } from "./dom.js"

/** @import { Row } from "../wire.js" */
/** @import { Templates } from "./dom.js" */

const MAX_LINES = 25
const MAX_CHARACTERS = 2000
/**
 * How much of a mark is shown: 40 bits. A busy server creates at most 2^29 identities a day, so
 * nobody gets the shown part of another person's mark by trying. The template _message.html has the
 * same number.
 */
const SHOWN_MARK_CHARACTERS = 10
const NOT_LOADED = "Earlier message"
const DELETED = "Message deleted"
const IGNORED = "Message from someone you ignore"

/**
 * The first line of a message, which identifies it elsewhere.
 *
 * @param {Pick<Row, "message" | "deleted"> | undefined} row
 */
export function previewText(row) {
  if (!row) return NOT_LOADED
  if (row.deleted) return DELETED
  return row.message.trim().split("\n", 1)[0]
}

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
 * @param {{ ownMark: string, cloneTemplate: Templates }} options
 */
export function drawReactions(message, reactions, { ownMark, cloneTemplate }) {
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
    updateReaction(button, emoji, marks, ownMark)
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
 * @param {HTMLElement} button
 * @param {string} emoji
 * @param {string[]} marks
 * @param {string} ownMark
 */
function updateReaction(button, emoji, marks, ownMark) {
  button.dataset.emoji = emoji
  button.ariaPressed = String(marks.includes(ownMark))
  setText(button, ".reaction__emoji", emoji)
  setText(button, ".reaction__count", String(marks.length))
}

/**
 * Shows the mark of a person. CSS derives their color and the letter of their avatar from it.
 *
 * @param {HTMLElement} element
 * @param {string} selector
 * @param {string} mark
 * @param {string} name
 */
export function setMark(element, selector, mark, name) {
  const part = setText(element, selector, mark.slice(0, SHOWN_MARK_CHARACTERS))
  part.dataset.hue = mark.slice(0, 1)
  part.dataset.initial = firstGrapheme(name.trim())
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
}

// Shows a message as it will be when an own change to it is stored.

/** @import { Item, Row } from "../wire.js" */

/** What a deletion leaves of a message, apart from its place and its times. */
const ERASED = /** @type {const} */ ({
  handle: "",
  mark: "",
  message: "",
  deleted: true,
  reactions: undefined,
})

/**
 * The message with an edit, a deletion or a reaction that the server has not stored yet.
 *
 * @param {Row} row
 * @param {Item} change
 * @returns {Row}
 */
export function applyPendingChange(row, change) {
  if (row.deleted) return row
  const { event, message, timestamp, emoji = "", on = false, mark = "" } = change
  if (event === "edit") return { ...row, message, edited: timestamp, pending: true }
  if (event === "delete") return { ...row, ...ERASED, details: deletionDetails(row, mark) }
  return { ...row, reactions: setReaction(row.reactions ?? {}, { emoji, on, mark }) }
}

/**
 * A message that somebody else deletes shows that it was a host.
 *
 * @param {Row} row
 * @param {string} mark of the person who deletes it
 */
function deletionDetails(row, mark) {
  const isByAuthor = mark === "" || mark === row.mark
  return isByAuthor ? undefined : { action: "delete" }
}

/**
 * @param {Record<string, string[]>} reactions the marks of those who reacted, by emoji
 * @param {{ emoji: string, on: boolean, mark: string }} change
 * @returns {Record<string, string[]>} a copy
 */
function setReaction(reactions, { emoji, on, mark }) {
  const others = (reactions[emoji] ?? []).filter((other) => other !== mark)
  const marks = on ? [...others, mark] : others
  const changed = { ...reactions, [emoji]: marks }
  if (marks.length === 0) delete changed[emoji]
  return changed
}

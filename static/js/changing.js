// How a message will stand once an own change to it is stored.

/** @import { Item, Row } from "./wire.js" */

/** @param {Row} row @param {Item} change @returns {Row} */
export function changing(row, { event, message, timestamp, emoji = "", on = false, mark = "" }) {
  if (row.deleted) return row
  if (event === "edit") return { ...row, message, edited: timestamp, pending: true }
  if (event === "delete") return { ...row, message: "", deleted: true, reactions: undefined }
  return { ...row, reactions: toggled(row.reactions, emoji, on, mark) }
}

/** @param {Row["reactions"]} reactions @param {string} emoji @param {boolean} on @param {string} mark */
function toggled(reactions = {}, emoji, on, mark) {
  const others = (reactions[emoji] ?? []).filter((each) => each !== mark)
  const all = { ...reactions, [emoji]: on ? [...others, mark] : others }
  return Object.fromEntries(Object.entries(all).filter(([, marks]) => marks.length))
}

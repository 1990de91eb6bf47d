// Times as the reader's own clock and calendar would write them, and what they put between two messages.

const TOGETHER_MS = 5 * 60_000

/** @type {(options: Intl.DateTimeFormatOptions) => (iso: string) => string} */
const written = (options) => {
  const format = new Intl.DateTimeFormat(undefined, options)
  return (iso) => format.format(new Date(iso))
}

export const clockTime = written({ hour: "numeric", minute: "2-digit" })
export const fullTime = written({ dateStyle: "full", timeStyle: "medium" })
export const dayName = written({ weekday: "long", day: "numeric", month: "long", year: "numeric" })

/** The reader's calendar day as 2026-11-22: two messages share a day line when this is the same. @param {string} iso */
export function dayOf(iso) {
  const date = new Date(iso)
  const two = (/** @type {number} */ number) => String(number).padStart(2, "0")
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`
}

/** @typedef {{ by: string, at: number, day: string }} Said by whom (and under which name), and when */

/** @param {string} author @param {string} handle @param {string} timestamp @returns {Said} */
export const said = (author, handle, timestamp) => ({ by: `${author}/${handle}`, at: Date.parse(timestamp), day: dayOf(timestamp) })

/** @param {Said | undefined} before @param {Said} message */
export const begins = (before, message) => before?.day !== message.day

/** The same person goes on talking: the name need not be said again. @param {Said | undefined} before @param {Said} message */
export const follows = (before, message) => before !== undefined && !begins(before, message) && before.by === message.by && Math.abs(message.at - before.at) <= TOGETHER_MS

// Formats times for the reader's locale and time zone.

/**
 * @param {Intl.DateTimeFormatOptions} options
 * @returns {(timestamp: string) => string}
 */
function createFormatter(options) {
  const format = new Intl.DateTimeFormat(undefined, options)
  return (timestamp) => format.format(new Date(timestamp))
}

export const formatTime = createFormatter({ hour: "numeric", minute: "2-digit" })
export const formatFullTime = createFormatter({ dateStyle: "full", timeStyle: "medium" })
export const formatDay = createFormatter({
  weekday: "long",
  day: "numeric",
  month: "long",
  year: "numeric",
})

/**
 * The day of the reader's calendar, as 2026-11-22.
 *
 * @param {string} timestamp
 */
export function localDay(timestamp) {
  const date = new Date(timestamp)
  const month = String(date.getMonth() + 1).padStart(2, "0")
  const day = String(date.getDate()).padStart(2, "0")
  return `${date.getFullYear()}-${month}-${day}`
}

const formatWeekday = createFormatter({ weekday: "long" })
const formatDate = createFormatter({ day: "numeric", month: "long" })
const DAY_MS = 24 * 3600 * 1000

/**
 * A moment in the past, as it follows "since": "14:05", "yesterday 23:10", "Monday 23:10" or
 * "5 March 23:10".
 *
 * @param {number} at in milliseconds since 1970
 * @param {number} now
 */
export function formatSince(at, now) {
  const timestamp = new Date(at).toISOString()
  const time = formatTime(timestamp)
  const day = localDay(timestamp)
  const isSameDay = (/** @type {number} */ other) => day === localDay(new Date(other).toISOString())
  if (isSameDay(now)) return time
  if (isSameDay(now - DAY_MS)) return `yesterday ${time}`
  const isThisWeek = now - at < 6 * DAY_MS
  return `${isThisWeek ? formatWeekday(timestamp) : formatDate(timestamp)} ${time}`
}

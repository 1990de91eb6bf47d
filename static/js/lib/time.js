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

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS
const DAY_MS = 24 * HOUR_MS

/**
 * When a room was last visited: "Just now", "5 minutes ago", "Today 14:05", "Yesterday 23:10" or
 * "5 March 2026".
 *
 * @param {number} at in milliseconds since 1970
 * @param {number} now
 */
export function formatVisit(at, now) {
  const minutes = Math.floor((now - at) / MINUTE_MS)
  if (minutes < 1) return "Just now"
  if (now - at < HOUR_MS) return minutes === 1 ? "1 minute ago" : `${minutes} minutes ago`
  const timestamp = new Date(at).toISOString()
  const time = formatTime(timestamp)
  if (isSameDay(at, now)) return `Today ${time}`
  if (isSameDay(at, now - DAY_MS)) return `Yesterday ${time}`
  return formatDate(timestamp)
}

const formatDate = createFormatter({ day: "numeric", month: "long", year: "numeric" })
const formatDayAndMonth = createFormatter({ day: "numeric", month: "long" })
const formatWeekday = createFormatter({ weekday: "long" })

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
  if (isSameDay(at, now)) return time
  if (isSameDay(at, now - DAY_MS)) return `yesterday ${time}`
  const isThisWeek = now - at < 6 * DAY_MS
  return `${isThisWeek ? formatWeekday(timestamp) : formatDayAndMonth(timestamp)} ${time}`
}

/**
 * @param {number} at in milliseconds since 1970
 * @param {number} other
 */
function isSameDay(at, other) {
  return localDay(new Date(at).toISOString()) === localDay(new Date(other).toISOString())
}

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

// Times as the reader's own clock and calendar would write them.

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

// Decides which messages are shown as a group, and where a new day begins.

import { localDay } from "../lib/time.js"

/**
 * @typedef {object} Authorship
 * @property {string} author who wrote the message, and under which name
 * @property {number} at when, in milliseconds since 1970
 * @property {string} day when, as a day of the reader's calendar
 */

const MAX_GROUP_GAP_MS = 5 * 60_000

/**
 * @param {string} author
 * @param {string} handle
 * @param {string} timestamp
 * @returns {Authorship}
 */
export function authorshipOf(author, handle, timestamp) {
  return {
    author: `${author}/${handle}`,
    at: Date.parse(timestamp),
    day: localDay(timestamp),
  }
}

/**
 * Whether a message is the first one of its day.
 *
 * @param {Authorship | undefined} previous the message before, if there is one
 * @param {Authorship} current
 */
export function startsNewDay(previous, current) {
  return previous?.day !== current.day
}

/**
 * Whether a message continues the group of the message before, so that its name need not be shown.
 * `templates/_message.html` has the same rule.
 *
 * @param {Authorship | undefined} previous
 * @param {Authorship} current
 */
export function continuesGroup(previous, current) {
  if (!previous || startsNewDay(previous, current)) return false
  const gapMs = Math.abs(current.at - previous.at)
  return previous.author === current.author && gapMs <= MAX_GROUP_GAP_MS
}

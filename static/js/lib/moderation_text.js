// Sentences about what a host has done to this person or the room.

import { formatDuration } from "./durations.js"
import { formatTime } from "./time.js"

const SOMEBODY = "A host"
const DAY_MS = 24 * 3600 * 1000

/**
 * Why this person is not in the room any more.
 *
 * @param {string} code of the refusal
 * @param {object} known
 * @param {string} known.message of the refusal
 * @param {string} [known.host] who has done it, if that is known
 * @param {number} known.rejoinAt in milliseconds since 1970; 0 if it is not known
 */
export function refusalText(code, { message, host = SOMEBODY, rejoinAt }) {
  if (code === "banned") return `${host} has banned you from this room.`
  if (code === "closed") return `${host} has closed this room.`
  if (code !== "removed" || rejoinAt === 0) return message
  const time = formatTime(new Date(rejoinAt).toISOString())
  return `${host} has removed you from this room. You can come back at ${time}.`
}

/**
 * @param {string} host who has muted this person
 * @param {number} until in milliseconds since 1970; Infinity for ever
 * @param {number} now
 */
export function muteText(host, until, now) {
  const who = `${host || SOMEBODY} has muted you`
  const isSoon = until - now <= DAY_MS
  if (!isSoon) return `${who}. You can read, but not post.`
  return `${who} until ${formatTime(new Date(until).toISOString())}. Until then you can only read.`
}

/** @param {number} seconds */
export function slowModeText(seconds) {
  return `Slow mode: one message every ${formatDuration(seconds)}.`
}

/**
 * Who can read and post, as a sentence.
 *
 * @param {{ hasPassword: boolean, isLocked: boolean }} rules
 */
export function audienceText({ hasPassword, isLocked }) {
  const who = `Anyone with the link${hasPassword ? " and the password" : ""}`
  return isLocked
    ? `${who} can read messages. Only hosts can post.`
    : `${who} can read and post messages.`
}

export const LOCKED_TEXT = "This room is locked: only hosts can post."

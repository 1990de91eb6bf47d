// What stands between two messages: a day line, nothing but a little room, or the next person's name.

import { dayOf } from "./time.js"

const TOGETHER_MS = 5 * 60_000

/** @typedef {{ by: string, at: number, day: string }} Said by whom (and under which name), and when */

/** @param {string} author @param {string} handle @param {string} timestamp @returns {Said} */
export const said = (author, handle, timestamp) => ({ by: `${author}/${handle}`, at: Date.parse(timestamp), day: dayOf(timestamp) })

/** @param {Said | undefined} before @param {Said} message */
export const begins = (before, message) => before?.day !== message.day

/** The same person goes on talking: the name need not be said again. @param {Said | undefined} before @param {Said} message */
export const follows = (before, message) => before !== undefined && !begins(before, message) && before.by === message.by && Math.abs(message.at - before.at) <= TOGETHER_MS

// Asks the server how much this person has written in the room, and to delete it.

/** @import { Clock } from "../lib/clock.js" */

const ACCEPT_JSON = { Accept: "application/json" }
const RETRY_DELAY_MS = 3000 // unless the server asks for another
const TOO_MANY_REQUESTS = 429
const UNAVAILABLE = 503

/**
 * How much somebody has written in a room.
 *
 * @typedef {object} Summary
 * @property {string} summary a sentence
 * @property {boolean} is_empty
 */

/**
 * @param {string} url
 * @param {typeof fetch} [send]
 * @returns {Promise<Summary | null>} null when there is no answer
 */
export async function loadSummary(url, send = fetch) {
  try {
    const response = await send(url, { headers: ACCEPT_JSON, redirect: "manual" })
    return response.ok ? await response.json() : null
  } catch {
    return null
  }
}

/**
 * Deletes everything. The server deletes for some seconds at a time, and answers from where to go
 * on. Waits while it is busy or a limit is reached.
 *
 * @param {string} url of the form by which a browser without scripts would ask
 * @param {URLSearchParams} fields of that form
 * @param {object} dependencies
 * @param {Clock} dependencies.clock
 * @param {(erased: number) => void} dependencies.onProgress
 * @param {typeof fetch} [dependencies.send]
 * @returns {Promise<boolean>} whether everything is deleted
 */
export async function eraseAll(url, fields, { clock, onProgress, send = fetch }) {
  const body = new URLSearchParams(fields)
  let erased = 0
  for (;;) {
    const answer = await requestErasure(url, body, send)
    if (answer === null) return false
    if ("delayMs" in answer) {
      const { delayMs } = answer
      await new Promise((resolve) => {
        clock.schedule(delayMs, () => resolve(undefined))
      })
      continue
    }
    erased += answer.erased
    onProgress(erased)
    if (answer.done) return true
    body.set("after", String(answer.after))
  }
}

/**
 * @param {string} url
 * @param {URLSearchParams} body
 * @param {typeof fetch} send
 * @returns {Promise<{ after: number, erased: number, done: boolean } | { delayMs: number } | null>}
 *   null when it is refused, or there is no connection
 */
async function requestErasure(url, body, send) {
  try {
    const request = { method: "POST", headers: ACCEPT_JSON, body }
    const response = await send(url, { ...request, redirect: "manual" })
    if (response.ok) return await response.json()
    const isTemporary = [TOO_MANY_REQUESTS, UNAVAILABLE].includes(response.status)
    if (!isTemporary) return null
    const seconds = Number(response.headers.get("Retry-After"))
    return { delayMs: seconds > 0 ? seconds * 1000 : RETRY_DELAY_MS }
  } catch {
    return null
  }
}

// Creates a room whose page the browser has fetched ahead of the visit, which creates none.

/** @import { Clock } from "../lib/clock.js" */

const RETRY_DELAY_MS = 3000 // unless the server asks for another
const JITTER_FRACTION = 0.5
const TOO_MANY_REQUESTS = 429
const FIRST_SERVER_ERROR = 500

/**
 * Requests the page of a room without the header of a prefetch, which creates the room. Tries again
 * while there is no connection, the server is busy or a rate limit is reached. Every other refusal
 * is final: the connection to the room will show the reason.
 *
 * @param {string} path of the room
 * @param {object} dependencies
 * @param {Clock} dependencies.clock
 * @param {typeof fetch} [dependencies.send]
 */
export async function createRoom(path, { clock, send = fetch }) {
  let delayMs = await requestRoom(path, send)
  while (delayMs > 0) {
    const withJitter = delayMs * (1 + JITTER_FRACTION * clock.random())
    await new Promise((resolve) => {
      clock.schedule(withJitter, () => resolve(undefined))
    })
    delayMs = await requestRoom(path, send)
  }
}

/**
 * @param {string} path
 * @param {typeof fetch} send
 * @returns {Promise<number>} the delay before the next attempt in milliseconds; 0 if none is needed
 */
async function requestRoom(path, send) {
  try {
    const { status, headers } = await send(path)
    const isTemporary = status === TOO_MANY_REQUESTS || status >= FIRST_SERVER_ERROR
    if (!isTemporary) return 0
    const seconds = Number(headers.get("Retry-After"))
    return seconds > 0 ? seconds * 1000 : RETRY_DELAY_MS
  } catch {
    return RETRY_DELAY_MS
  }
}

// The history file, and what else the clients of the fault scenarios share.

import { appendFileSync } from "node:fs"

const WRITE_INTERVAL_MS = 200

export const sleep = (ms) => new Promise((done) => setTimeout(done, ms))

/** Waits for a condition; returns whether it came true in time. */
export async function until(condition, ms) {
  for (const end = performance.now() + ms; !condition() && performance.now() < end; ) await sleep(50)
  return condition()
}

/** Mulberry32: the same seed gives the same numbers. */
export function dice(seed) {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** What the history keeps of a message. */
export const brief = ({ seq, rev, id, message, deleted, edited, timestamp, kind, reactions }) => ({ seq, rev, id, message, deleted, kind, reactions, since: edited ?? timestamp })

/** Lines about clients, appended to a file that several processes write. */
export class History {
  #path
  #lines = []

  constructor(path) {
    this.#path = path
    setInterval(() => this.write(), WRITE_INTERVAL_MS).unref()
  }

  /** Times are those of the machine's monotonic clock, which Python reads too. */
  note(who, what, more = {}) {
    this.#lines.push(JSON.stringify({ at: Number(process.hrtime.bigint() / 1000n) / 1000, who, what, ...more }))
  }

  /** Notes a live event as it arrives. */
  told(who, label, event, payload) {
    this.note(who, "told", { event, label: payload.label, in: label, row: brief(payload), head: payload.head })
  }

  /** Writes what has been noted since the last time, in one piece. */
  write() {
    if (this.#lines.length) appendFileSync(this.#path, `${this.#lines.join("\n")}\n`)
    this.#lines = []
  }
}

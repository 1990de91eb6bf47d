// The history file (see history.py), and what the clients of the fault scenarios share.

import { appendFileSync } from "node:fs"

const WRITE_INTERVAL_MS = 200
const POLL_MS = 50

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

/** Waits for a condition; returns whether it became true in time. */
export async function waitUntil(condition, ms) {
  const end = performance.now() + ms
  while (!condition() && performance.now() < end) await sleep(POLL_MS)
  return condition()
}

/** Returns the entry for a client, when clients use the entries of a list in turn. */
export const entryInTurn = (entries, number) => entries[number % entries.length]

/** Mulberry32, a seeded random number generator: returns a function like Math.random. */
export function seededRandom(seed) {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** Returns what the history keeps of a message. */
export function rowRecord(row) {
  const { seq, rev, id, mark, message, deleted, kind, reactions, details } = row
  const changed_at = row.edited ?? row.timestamp
  return { seq, rev, id, mark, message, deleted, kind, reactions, details, changed_at }
}

/** Records of clients, appended to a file that several processes write to. */
export class History {
  #path
  #lines = []

  constructor(path) {
    this.#path = path
    setInterval(() => this.flush(), WRITE_INTERVAL_MS).unref()
  }

  /** Records something; the time is that of the machine's monotonic clock, as in history.py. */
  record(client, type, fields = {}) {
    const at = Number(process.hrtime.bigint() / 1000n) / 1000
    this.#lines.push(JSON.stringify({ at, client, type, ...fields }))
  }

  /** Records a live event. */
  recordEvent(client, event, payload) {
    const { label, head } = payload
    this.record(client, "receive", { event, label, head, row: rowRecord(payload) })
  }

  /** Appends the new records to the file, in one piece. */
  flush() {
    if (this.#lines.length) appendFileSync(this.#path, `${this.#lines.join("\n")}\n`)
    this.#lines = []
  }
}

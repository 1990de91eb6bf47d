// A thousand bad evenings: lost, doubled and reordered, every reader ends with what a fresh load shows.

import assert from "node:assert/strict"
import { test } from "node:test"

import { Timeline } from "../../static/js/timeline.js"
import { FakeRoom } from "./helpers.mjs"

const EVENINGS = Number(process.env.EVENINGS ?? 1000)

/** Mulberry32: the same seed is the same evening. */
function dice(seed) {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

class Evening {
  #room = new FakeRoom()
  #timeline = new Timeline()
  #air = [] // events and answers on their way, to arrive in any order
  #nextId = 0

  constructor(seed) {
    this.random = dice(seed)
    for (let count = this.#upTo(12); count > 0; count -= 1) this.#room.store({ message: "before" })
    this.#timeline.load(this.#room.join(undefined, 5))
  }

  live(happenings) {
    for (let turn = 0; turn < happenings; turn += 1) this.#oneOf([this.#speak, this.#speak, this.#sayMine, this.#edit, this.#remove, this.#arrive, this.#arrive, this.#arrive, this.#ask, this.#older, this.#beacon, this.#restore])
    while (this.#air.length) this.#arrive()
    if (this.#timeline.epoch === this.#room.epoch) this.#timeline.announce(this.#room.head) // the beacon that is never lost for ever
    for (let left = 200; this.#timeline.behind || this.#timeline.epoch !== this.#room.epoch; left -= 1) {
      assert.ok(left, "stuck")
      this.#take(this.#timeline.applied, this.#room.since(this.#timeline.applied, 3))
    }
  }

  check() {
    const first = this.#timeline.older ? this.#timeline.rows[0].seq : 0
    const fresh = [...this.#room.rows.values()].filter(({ seq }) => seq >= first)
    assert.deepEqual(this.#timeline.rows, fresh.sort((a, b) => a.seq - b.seq))
    const ids = new Set(this.#timeline.rows.map(({ id }) => id))
    assert.ok(this.#timeline.items.every(({ id }) => !ids.has(id)))
  }

  #upTo = (most) => Math.floor(this.random() * (most + 1))
  #oneOf = (choices) => choices[this.#upTo(choices.length - 1)].call(this)
  #someSeq = () => [...this.#room.rows.keys()][this.#upTo(this.#room.rows.size - 1)]

  /** Told to everyone: perhaps lost, perhaps twice. */
  #tell(row) {
    const { epoch } = this.#room
    for (let times = this.random() < 0.25 ? 0 : 1 + this.#upTo(1); times > 0; times -= 1) {
      // A new epoch comes with a new connection: what the old one carried does not arrive any more.
      this.#air.push(() => epoch === this.#timeline.epoch && this.#timeline.hear(row))
    }
  }

  #speak() {
    this.#tell(this.#room.store({ message: `said ${this.#upTo(1000)}` }))
  }

  #sayMine() {
    const said = { id: `mine-${(this.#nextId += 1)}`, handle: "Ben", message: "mine" }
    this.#timeline.expect({ ...said, timestamp: "2026-11-22T09:00:00.000Z", state: "queued" })
    const answer = this.#room.chat(said)
    const stored = this.#room.rows.get(answer.seq)
    const { epoch } = this.#room
    this.#tell(stored)
    this.#air.push(() => epoch === this.#timeline.epoch && this.#timeline.stored(stored, answer))
  }

  #edit() {
    const seq = this.#someSeq()
    if (seq && !this.#room.rows.get(seq).deleted) this.#tell(this.#room.change(seq, { message: `edited ${this.#upTo(1000)}`, edited: "now" }))
  }

  #remove() {
    const seq = this.#someSeq()
    if (seq) this.#tell(this.#room.change(seq, { message: "", deleted: true }))
  }

  #arrive() {
    if (this.#air.length) this.#air.splice(this.#upTo(Math.min(4, this.#air.length - 1)), 1)[0]()
  }

  #ask() {
    const after = this.#timeline.applied
    const answer = this.#room.since(after, 1 + this.#upTo(6))
    this.#air.push(() => this.#take(after, answer))
  }

  #take(after, answer) {
    const outdated = answer.epoch !== this.#timeline.epoch || answer.head < after
    if (outdated) this.#timeline.load(this.#room.join(undefined, 5))
    else this.#timeline.merge(answer)
  }

  #older() {
    const asked = this.#timeline.askEarlier()
    const answer = this.random() < 0.2 ? null : this.#room.history(asked.before, 1 + this.#upTo(4))
    this.#air.push(() => this.#timeline.earlier(asked, answer))
  }

  #beacon() {
    const { head, epoch } = this.#room
    this.#air.push(() => epoch === this.#timeline.epoch && this.#timeline.announce(head))
  }

  #restore() {
    if (this.random() < 0.95) return
    this.#room.epoch += "+"
    const kept = [...this.#room.rows.values()].slice(0, this.#upTo(this.#room.rows.size))
    this.#room.rows = new Map(kept.map((row) => [row.seq, { ...row, rev: row.seq }]))
    this.#room.head = Math.max(0, ...this.#room.rows.keys())
  }
}

test("whatever happens on the way, everybody ends with what a fresh load shows", () => {
  for (let seed = 1; seed <= EVENINGS; seed += 1) {
    const evening = new Evening(seed)
    try {
      evening.live(120)
      evening.check()
    } catch (error) {
      error.message = `evening ${seed}: ${error.message}`
      throw error
    }
  }
})

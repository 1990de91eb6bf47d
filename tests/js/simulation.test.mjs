// Two thousand bad evenings: lost, doubled and reordered, every reader ends with what a fresh load
// shows.

import assert from "node:assert/strict"
import { test } from "node:test"

import { Unreachable } from "../../static/js/lib/errors.js"
import { RoomSession } from "../../static/js/net/room_session.js"
import { Outbox } from "../../static/js/state/outbox.js"
import { OutboxStore } from "../../static/js/state/outbox_store.js"
import { Timeline } from "../../static/js/state/timeline.js"
import { FakeClock, FakeRoom, FakeStorage, FakeSocket } from "./helpers.mjs"

const EVENINGS = Number(process.env.EVENINGS ?? 2000)
const FIRST = Number(process.env.FIRST_EVENING ?? 1)

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

/** A room full of people, and Ben on a bad line. */
class Evening {
  #server = new FakeRoom()
  #socket = new FakeSocket(this.#server)
  #timeline = new Timeline()
  #clock = new FakeClock()
  #air = [] // events on their way to Ben, and answers: to arrive in any order
  #said = [] // what Ben has said
  #erased = false // his words may be gone with a backup

  constructor(seed) {
    this.random = dice(seed)
    this.few = this.#one([3, 8, 30]) // the most rows in an answer of the server
    this.loss = this.#one([0, 0.1, 0.4])
    this.silence = this.#one([0, 0, 0.1])
    this.cuts = this.#one([0, 0.1, 0.4])
    for (let count = this.#upTo(12); count > 0; count -= 1) {
      this.#server.store({ message: "before" })
    }
    const { area, page } = new FakeStorage().tab()
    const store = new OutboxStore("kitchen", { getStorage: () => area, storageEvents: page })
    const createOutbox = (send) =>
      new Outbox({ send, clock: this.#clock, store, elect: async () => () => {} })
    this.room = new RoomSession({
      label: "kitchen",
      mark: "me",
      socket: this.#socket,
      timeline: this.#timeline,
      clock: this.#clock,
      createOutbox,
    })
    this.#timeline.load(this.#server.join(undefined, this.few))
    this.#socket.answers = (event, data) => this.#answer(event, data)
    this.#socket.connect()
  }

  async live(happenings) {
    const people = [
      this.#speak,
      this.#speak,
      this.#speak,
      this.#sayMine,
      this.#edit,
      this.#edit,
      this.#remove,
      this.#beacon,
    ]
    const line = [
      this.#arrive,
      this.#arrive,
      this.#arrive,
      this.#arrive,
      this.#arrive,
      this.#wait,
      this.#cut,
      this.#mend,
      this.#earlier,
    ]
    const rare = [this.#restore, this.#absence, this.#probe]
    for (let turn = 0; turn < happenings; turn += 1) {
      const kind = this.random()
      if (kind < 0.35) await this.#one(people).call(this)
      else if (kind < 0.97) await this.#one(line).call(this)
      else await this.#one(rare).call(this)
      for (let step = 0; step < 6; step += 1) await null
    }
  }

  /**
   * The line holds from now on. Nobody says anything more: what is missing is found all the same.
   */
  async calm() {
    this.#socket.answers = (event, data) => this.#server.answer(event, data, this.few)
    this.#mend()
    while (this.#air.length) this.#arrive()
    await this.#clock.advance(61_000)
    assert.equal(this.room.state, "joined", "stuck")
    assert.equal(this.#timeline.isBehind, false, "stuck")
    this.#equal()
    for (let pages = 0; this.#timeline.hasOlder; pages += 1) {
      assert.ok(pages < 500, "stuck")
      await this.room.loadEarlier()
      this.#equal()
    }
    this.#complete()
  }

  /** From the first row on, what is shown is what the server has. */
  #equal() {
    const first = this.#timeline.hasOlder ? this.#timeline.rows[0].seq : 0
    const fresh = [...this.#server.rows.values()].filter(({ seq }) => seq >= first)
    assert.deepEqual(
      this.#timeline.rows,
      fresh.sort((a, b) => a.seq - b.seq),
    )
    assert.equal(this.#timeline.applied, this.#server.head)
  }

  /** Everything Ben said is stored, once; nothing waits. */
  #complete() {
    assert.deepEqual(this.#timeline.pendingMessages, [])
    assert.equal(this.room.outbox.queuedCount, 0)
    const ids = [...this.#server.rows.values()].map(({ id }) => id).filter(Boolean)
    assert.equal(new Set(ids).size, ids.length)
    if (!this.#erased) assert.deepEqual(ids.sort(), this.#said.sort())
    this.#socket.answers = (event, data) => this.#answer(event, data)
  }

  #upTo = (most) => Math.floor(this.random() * (most + 1))
  #one = (choices) => choices[this.#upTo(choices.length - 1)]
  #someSeq = () => [...this.#server.rows.keys()][this.#upTo(this.#server.rows.size - 1)]

  /**
   * Told to everyone: to Ben perhaps not at all, perhaps twice; over a line that has been cut,
   * never.
   */
  #tell(event, payload) {
    const { visit } = this.#socket
    for (let times = this.random() < this.loss ? 0 : 1 + this.#upTo(1); times > 0; times -= 1) {
      this.#air.push(
        () =>
          this.#socket.up && visit === this.#socket.visit && this.#socket.receive(event, payload),
      )
    }
  }

  /**
   * What the server does it does at once; the answer takes its time, comes out of turn, or not at
   * all.
   */
  #answer(event, data) {
    const { visit } = this.#socket
    const answer = structuredClone(this.#server.answer(event, data, this.few))
    if (event === "chat" && !answer.duplicate) this.#tell("chat", this.#server.rows.get(answer.seq))
    return new Promise((resolve, reject) => {
      const lost = this.random() < this.silence || visit !== this.#socket.visit
      this.#air.push(() =>
        lost || visit !== this.#socket.visit
          ? reject(new Unreachable("operation has timed out"))
          : resolve(answer),
      )
    })
  }

  #speak() {
    this.#tell("chat", this.#server.store({ message: `said ${this.#upTo(1000)}` }))
  }

  #sayMine() {
    this.#said.push(this.room.outbox.enqueue({ handle: "Ben", message: "mine" }).id)
  }

  #edit() {
    const seq = this.#someSeq()
    if (seq && !this.#server.rows.get(seq).deleted) {
      this.#tell(
        "change",
        this.#server.change(seq, { message: `edited ${this.#upTo(1000)}`, edited: "now" }),
      )
    }
  }

  #remove() {
    const seq = this.#someSeq()
    if (seq) this.#tell("change", this.#server.change(seq, { message: "", deleted: true }))
  }

  #beacon() {
    const { head, epoch } = this.#server
    this.#tell("head", { label: "kitchen", head, epoch })
  }

  #arrive() {
    for (let count = this.#upTo(4); this.#air.length && count > 0; count -= 1) {
      this.#air.splice(this.#upTo(Math.min(4, this.#air.length - 1)), 1)[0]()
    }
  }

  #wait() {
    return this.#clock.advance(this.#one([100, 250, 2500]))
  }

  #cut() {
    if (this.random() < this.cuts) this.#hangUp()
  }

  #hangUp() {
    this.#socket.visit = (this.#socket.visit ?? 0) + 1
    if (this.#socket.up) this.#socket.disconnect()
  }

  #mend() {
    if (!this.#socket.up) this.#socket.connect()
  }

  #earlier() {
    if (this.#timeline.hasOlder) this.room.loadEarlier()
  }

  #probe() {
    this.room.checkConnection()
  }

  /** Ben is away, and the others go on and on. */
  #absence() {
    this.#hangUp()
    for (let count = this.#upTo(2 * this.few); count > 0; count -= 1) {
      this.#one([this.#speak, this.#speak, this.#edit, this.#remove]).call(this)
    }
  }

  /** A backup is played in while the server is down; people come back to another history. */
  #restore() {
    this.#hangUp()
    this.#erased = true
    this.#server.epoch += "+"
    const kept = [...this.#server.rows.values()].slice(0, this.#upTo(this.#server.rows.size))
    this.#server.rows = new Map(kept.map((row) => [row.seq, { ...row, rev: row.seq }]))
    this.#server.head = Math.max(0, ...this.#server.rows.keys())
  }
}

test("whatever happens on the way, Ben ends with what a fresh load shows, and with all he said stored once", async () => {
  for (let seed = FIRST; seed < FIRST + EVENINGS; seed += 1) {
    const evening = new Evening(seed)
    try {
      for (const happenings of [40, 20]) {
        await evening.live(happenings)
        await evening.calm()
      }
    } catch (error) {
      error.message = `evening ${seed}: ${error.message}`
      throw error
    }
  }
})

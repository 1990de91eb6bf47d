// Two thousand random scenarios with lost, repeated and reordered events: in the end the page
// always shows what a fresh page would show.

import assert from "node:assert/strict"
import { test } from "node:test"

import { Unreachable } from "../../static/js/lib/errors.js"
import { RoomSession } from "../../static/js/net/room_session.js"
import { Outbox } from "../../static/js/state/outbox.js"
import { OutboxStore } from "../../static/js/state/outbox_store.js"
import { Timeline } from "../../static/js/state/timeline.js"
import { FakeClock, FakeRoom, FakeSocket, FakeStorage, seededRandom } from "./fakes.mjs"

const SCENARIOS = Number(process.env.SCENARIOS ?? 2000)
const FIRST_SEED = Number(process.env.FIRST_SEED ?? 1)
const SAFETY_CHECK_MS = 60_000
const ERASED = { handle: "", mark: "", message: "", deleted: true }

/** Ben's page with an unreliable connection to a room in which other people write, too. */
class Scenario {
  #server = new FakeRoom()
  #socket = new FakeSocket(this.#server)
  #timeline = new Timeline()
  #clock = new FakeClock()
  /** Events and answers on their way to Ben, which arrive in any order. */
  #inFlight = []
  #connectionNumber = 0
  #sentIds = []
  /** Whether a backup was restored, which may not contain Ben's messages. */
  #wasRestored = false

  constructor(seed) {
    this.random = seededRandom(seed)
    this.limit = this.#pick([3, 8, 30]) // rows in an answer of the server
    this.eventLoss = this.#pick([0, 0.1, 0.4])
    this.answerLoss = this.#pick([0, 0, 0.1])
    this.disconnects = this.#pick([0, 0.1, 0.4])
    for (let count = this.#integer(12); count > 0; count -= 1) {
      this.#server.store({ message: "before" })
    }
    this.session = this.#createSession()
    this.#timeline.load(this.#server.join(undefined, this.limit))
    this.#socket.answer = (event, payload) => this.#answerUnreliably(event, payload)
    this.#socket.connect()
  }

  #createSession() {
    const store = new OutboxStore("kitchen", new FakeStorage().openTab())
    const elect = async () => () => {}
    return new RoomSession({
      label: "kitchen",
      mark: "me",
      socket: this.#socket,
      timeline: this.#timeline,
      clock: this.#clock,
      createOutbox: (send) => new Outbox({ send, clock: this.#clock, store, elect }),
    })
  }

  /** Lets random things happen. */
  async run(steps) {
    for (let step = 0; step < steps; step += 1) {
      const actions = this.#pickKind()
      await this.#pick(actions).call(this)
      for (let turn = 0; turn < 6; turn += 1) await null
    }
  }

  #pickKind() {
    const kind = this.random()
    if (kind < 0.35) return this.#peopleActions
    if (kind < 0.97) return this.#connectionActions
    return this.#rareActions
  }

  /** Checks that everything is found when the connection works and nobody writes any more. */
  async checkConvergence() {
    this.#socket.answer = (event, payload) => this.#server.answer(event, payload, this.limit)
    this.#connect()
    while (this.#inFlight.length > 0) this.#deliver()
    await this.#clock.advance(SAFETY_CHECK_MS + 1000)
    assert.equal(this.session.state, "joined")
    assert.equal(this.#timeline.isBehind, false)
    this.#checkRows()
    for (let pages = 0; this.#timeline.hasOlder; pages += 1) {
      assert.ok(pages < 500, "the first message is never reached")
      await this.session.loadEarlier()
      this.#checkRows()
    }
    this.#checkOwnMessages()
    this.#socket.answer = (event, payload) => this.#answerUnreliably(event, payload)
  }

  /** From the first loaded row on, the page shows what the server has. */
  #checkRows() {
    const firstSeq = this.#timeline.hasOlder ? this.#timeline.rows[0].seq : 0
    const onServer = [...this.#server.rows.values()].filter(({ seq }) => seq >= firstSeq)
    assert.deepEqual(
      this.#timeline.rows,
      onServer.sort((a, b) => a.seq - b.seq),
    )
    assert.equal(this.#timeline.applied, this.#server.head)
  }

  /** Ben's messages are stored, each once. */
  #checkOwnMessages() {
    assert.deepEqual(this.#timeline.pendingMessages, [])
    assert.equal(this.session.outbox.queuedCount, 0)
    const storedIds = [...this.#server.rows.values()].map(({ id }) => id).filter(Boolean)
    assert.equal(new Set(storedIds).size, storedIds.length)
    if (!this.#wasRestored) assert.deepEqual(storedIds.sort(), this.#sentIds.sort())
  }

  // The unreliable connection

  /** Broadcasts an event, which Ben receives not at all, once, or twice. */
  #broadcast(event, payload) {
    const number = this.#connectionNumber
    const isLost = this.random() < this.eventLoss
    const copies = isLost ? 0 : 1 + this.#integer(1)
    for (let copy = 0; copy < copies; copy += 1) {
      this.#inFlight.push(() => {
        const isSameConnection = this.#socket.isConnected && number === this.#connectionNumber
        if (isSameConnection) this.#socket.receive(event, payload)
      })
    }
  }

  /** The server handles a request at once; its answer arrives late, out of order, or never. */
  #answerUnreliably(event, payload) {
    const number = this.#connectionNumber
    const answer = structuredClone(this.#server.answer(event, payload, this.limit))
    if (event === "chat" && !answer.duplicate) {
      this.#broadcast("chat", this.#server.rows.get(answer.seq))
    }
    const isLost = this.random() < this.answerLoss
    return new Promise((resolve, reject) => {
      this.#inFlight.push(() => {
        const arrives = !isLost && number === this.#connectionNumber
        if (arrives) resolve(answer)
        else reject(new Unreachable("operation has timed out"))
      })
    })
  }

  // What can happen

  get #peopleActions() {
    const posts = [this.#postOther, this.#postOther, this.#postOther, this.#postOwn]
    return [...posts, this.#edit, this.#edit, this.#delete, this.#sendHead]
  }

  get #connectionActions() {
    const delivery = Array.from({ length: 5 }, () => this.#deliver)
    return [...delivery, this.#wait, this.#maybeDisconnect, this.#connect, this.#loadEarlier]
  }

  get #rareActions() {
    return [this.#restoreBackup, this.#beAbsent, this.#checkConnection]
  }

  #postOther() {
    const message = `other ${this.#integer(1000)}`
    this.#broadcast("chat", this.#server.store({ message }))
  }

  #postOwn() {
    const item = this.session.outbox.enqueue({ handle: "Ben", message: "own" })
    this.#sentIds.push(item.id)
  }

  #edit() {
    const seq = this.#anySeq()
    if (!seq || this.#server.rows.get(seq).deleted) return
    const message = `edited ${this.#integer(1000)}`
    this.#broadcast("change", this.#server.change(seq, { message, edited: "now" }))
  }

  #delete() {
    const seq = this.#anySeq()
    if (!seq) return
    this.#broadcast("change", this.#server.change(seq, { ...ERASED }))
  }

  #sendHead() {
    const { head, epoch } = this.#server
    this.#broadcast("head", { label: "kitchen", head, epoch })
  }

  /** Delivers a few events and answers, not always the oldest first. */
  #deliver() {
    for (let count = this.#integer(4); this.#inFlight.length > 0 && count > 0; count -= 1) {
      const index = this.#integer(Math.min(4, this.#inFlight.length - 1))
      const [deliver] = this.#inFlight.splice(index, 1)
      deliver()
    }
  }

  #wait() {
    return this.#clock.advance(this.#pick([100, 250, 2500]))
  }

  #maybeDisconnect() {
    if (this.random() < this.disconnects) this.#disconnect()
  }

  #disconnect() {
    this.#connectionNumber += 1
    if (this.#socket.isConnected) this.#socket.disconnect()
  }

  #connect() {
    if (!this.#socket.isConnected) this.#socket.connect()
  }

  #loadEarlier() {
    if (this.#timeline.hasOlder) this.session.loadEarlier()
  }

  #checkConnection() {
    this.session.checkConnection()
  }

  /** Ben is offline while the others go on. */
  #beAbsent() {
    this.#disconnect()
    const actions = [this.#postOther, this.#postOther, this.#edit, this.#delete]
    for (let count = this.#integer(2 * this.limit); count > 0; count -= 1) {
      this.#pick(actions).call(this)
    }
  }

  /** A backup is restored while the server is down: the room has another history. */
  #restoreBackup() {
    this.#disconnect()
    this.#wasRestored = true
    this.#server.epoch += "+"
    const rows = [...this.#server.rows.values()].slice(0, this.#integer(this.#server.rows.size))
    this.#server.rows = new Map(rows.map((row) => [row.seq, { ...row, rev: row.seq }]))
    this.#server.head = Math.max(0, ...this.#server.rows.keys())
  }

  // Random choices

  #integer(max) {
    return Math.floor(this.random() * (max + 1))
  }

  #pick(choices) {
    return choices[this.#integer(choices.length - 1)]
  }

  #anySeq() {
    return this.#pick([...this.#server.rows.keys()])
  }
}

test("whatever is lost, the page ends with the state of the server and sends each message once", async () => {
  for (let seed = FIRST_SEED; seed < FIRST_SEED + SCENARIOS; seed += 1) {
    const scenario = new Scenario(seed)
    try {
      for (const steps of [40, 20]) {
        await scenario.run(steps)
        await scenario.checkConvergence()
      }
    } catch (error) {
      error.message = `scenario with seed ${seed}: ${error.message}`
      throw error
    }
  }
})

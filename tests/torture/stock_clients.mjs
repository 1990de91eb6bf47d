// Stock JavaScript clients for the fault scenarios: unmodified socket.io-client with its default
// options. They join with the number up to which they are complete, repeat `since` until they have
// everything, and from then on rely on live events alone. stock_clients.py does the same in Python.
//
// Usage: node stock_clients.mjs PLAN, where PLAN is JSON:
//   {"urls": [...], "label": "kitchen", "clients": 2, "senders": 1, "post_seconds": 1,
//    "transports": [null], "seed": 1, "converge_seconds": 10, "deadline_seconds": 60,
//    "history": "..."}
// Clients use the entries of `transports` in turn; null is the default of the library.
// Orders on stdin are those of people.mjs.

import { randomUUID } from "node:crypto"
import { createInterface } from "node:readline"
import { io } from "socket.io-client"

import { entryInTurn, History, rowRecord, seededRandom, sleep, waitUntil } from "./history.mjs"

const START_MS = 60_000 // hundreds of clients connect at once
const PROBE_MS = 4_000 // longer than the promise, so that a late probe is recorded as late
const RETRY_MS = 1_000 // after a refusal that does not state how long to wait

const plan = JSON.parse(process.argv[2])
const history = new History(plan.history)
let maySend = false

class StockClient {
  label = plan.label
  rows = new Map() // by seq
  applied = 0 // the change up to which this client is complete
  epoch = ""
  caughtUp = false // joined, and everything missed has been read
  pending = null // the message that is not acknowledged yet
  #attempt = 0 // counts joins; answers to an earlier one are ignored
  #latest = 0 // the highest rev among the live events since the last join
  #posted = 0

  constructor(number) {
    this.name = `${plan.label} node ${number}`
    this.random = seededRandom(plan.seed * 1000 + 700 + number)
    const transports = entryInTurn(plan.transports, number)
    const options = transports ? { transports } : {}
    this.socket = io(plan.urls[number % plan.urls.length], options)
    this.socket.on("connect", () => {
      history.record(this.name, "connect")
      this.join()
    })
    this.socket.on("disconnect", (reason) => {
      history.record(this.name, "disconnect", { reason })
      this.caughtUp = false
      this.#attempt += 1
    })
    this.socket.onAny((event, payload) => history.recordEvent(this.name, event, payload))
    this.socket.on("chat", (row) => this.receive(row))
    this.socket.on("change", (row) => this.receive(row))
    this.socket.on("head", ({ epoch }) => {
      if (!this.epoch || epoch === this.epoch) return
      this.startOver(epoch)
      this.join()
    })
  }

  /** Sends an event; returns the answer, or null when the connection was lost before it came. */
  async request(event, data) {
    if (!this.socket.connected) return null
    const answer = await this.socket.emitWithAck(event, data).catch(() => null)
    if (answer && !answer.ok) history.record(this.name, "refused", { event, code: answer.code })
    return answer
  }

  /** Joins the room and catches up, until a later join or the end of the connection. */
  async join() {
    const attempt = (this.#attempt += 1)
    this.caughtUp = false
    this.#latest = 0
    let hasJoined = false
    for (;;) {
      const answer = await this.#requestMissed(hasJoined)
      if (answer === null || attempt !== this.#attempt) return
      if (answer.ok) {
        hasJoined = true
        if (this.merge(answer)) break
      } else {
        if (answer.code === "not_joined") hasJoined = false
        await sleep(answer.retry_after_ms ?? RETRY_MS)
        if (attempt !== this.#attempt) return
      }
    }
    this.applied = Math.max(this.applied, this.#latest)
    this.caughtUp = true
  }

  #requestMissed(hasJoined) {
    if (hasJoined) return this.request("since", { after: this.applied })
    return this.request("join", { label: plan.label, after: this.applied })
  }

  /** Merges the rows of an answer; returns whether the client has everything now. */
  merge({ epoch, head, messages, upto }) {
    if (!this.epoch) this.epoch = epoch // live events may have arrived before the first answer
    if (this.epoch !== epoch || head < this.applied) {
      this.startOver(epoch)
      return false
    }
    for (const row of messages) this.put(row)
    this.applied = upto
    return upto === head
  }

  startOver(epoch) {
    this.rows.clear()
    this.applied = 0
    this.#latest = 0
    this.epoch = epoch
    history.record(this.name, "reset", { epoch, rows: [] })
  }

  /** Handles a live event. Events arrive in the order of `rev`, so each completes those before. */
  receive(row) {
    this.put(row)
    this.#latest = Math.max(this.#latest, row.rev)
    if (this.caughtUp) this.applied = Math.max(this.applied, row.rev)
  }

  put(row) {
    const known = this.rows.get(row.seq)
    if (known && known.rev >= row.rev) return
    this.rows.set(row.seq, row)
    history.record(this.name, "show", { row: rowRecord(row) })
  }

  /** Posts one message after the other, while clients may send. */
  async postMessages() {
    for (;;) {
      await sleep(plan.post_seconds * 1000 * (0.5 + this.random()))
      if (!maySend) continue
      this.#posted += 1
      const message = `${this.name} posts ${this.#posted}.`
      await this.postOnce({ handle: this.name, message, id: randomUUID() })
    }
  }

  /** Sends a message, under the same id, until it is acknowledged. */
  async postOnce(message) {
    this.pending = message
    const request = { action: "chat", id: message.id, message: message.message }
    history.record(this.name, "invoke", request)
    for (;;) {
      await waitUntil(() => this.caughtUp, Infinity)
      const answer = await this.request("chat", message)
      if (answer?.ok) {
        history.record(this.name, "ok", { id: message.id, seq: answer.seq, rev: answer.seq })
        this.pending = null
        return
      }
      if (answer?.code === "not_joined") this.join()
      else if (answer) await sleep(answer.retry_after_ms ?? RETRY_MS)
    }
  }

  has(id) {
    return [...this.rows.values()].some((row) => row.id === id)
  }

  /** Records what is shown at the end. */
  recordFinalRows() {
    const sorted = [...this.rows.values()].sort((one, other) => one.seq - other.seq)
    const rows = sorted.map(rowRecord)
    const pending = this.pending ? [this.pending.id] : []
    const { applied, epoch } = this
    history.record(this.name, "final", { label: plan.label, applied, epoch, rows, pending })
  }
}

const hasConverged = () => clients.every((client) => client.caughtUp && !client.pending)
const haveReceived = (id) => clients.every((client) => client.has(`${id}-${client.label}`))

setTimeout(() => process.exit(1), plan.deadline_seconds * 1000).unref()
const clients = Array.from({ length: plan.clients }, (_, number) => new StockClient(number))
const haveStarted = await waitUntil(() => clients.every((client) => client.caughtUp), START_MS)
if (!haveStarted) process.exit(1)
console.log("ready")
const posting = clients.filter((_, number) => number % 2).slice(0, plan.senders)
for (const client of posting) client.postMessages()

for await (const line of createInterface({ input: process.stdin })) {
  const [order, id] = line.split(" ")
  maySend = order === "send"
  if (order === "finish") break
  if (order === "converge") await waitUntil(hasConverged, plan.converge_seconds * 1000)
  if (order === "probe") await waitUntil(() => haveReceived(id), PROBE_MS)
  if (order === "report") for (const client of clients) client.recordFinalRows()
  if (["converge", "probe", "report"].includes(order)) console.log("done")
}
history.flush()
process.exit()

// Stock JavaScript clients for the fault scenarios: unmodified socket.io-client with its default options.
// They join with what they have, ask `since` until they have everything, and from then on rely on live events alone.
// Usage: node stock_clients.mjs '{"urls": [...], "label": "kitchen", "clients": 2, "post_seconds": 1, "transports": null, "seed": 1, "deadline_seconds": 60, "history": "..."}'
// Orders on stdin are those of people.mjs; stock_clients.py does the same in Python.

import { randomUUID } from "node:crypto"
import { createInterface } from "node:readline"
import { io } from "socket.io-client"

import { brief, dice, History, sleep, until } from "./history.mjs"

const START_MS = 20_000
const SETTLE_MS = 10_000 // more than the longest pause between two attempts to reconnect
const PROBE_MS = 4_000 // longer than the promise, so that a late probe is noted as late
const RETRY_MS = 1_000 // after a refusal that does not say how long to wait

const plan = JSON.parse(process.argv[2])
const history = new History(plan.history)
let posting = false

class StockClient {
  label = plan.label
  rows = new Map() // by seq
  applied = 0 // the change up to which this client is complete
  epoch = ""
  joined = false // and everything missed has been read
  pending = null // the message that is not acknowledged yet
  #attempt = 0 // counts joins; the answers to an earlier one are ignored
  #latest = 0 // the highest rev among the live events since the last join
  #posted = 0

  constructor(number) {
    this.who = `${plan.label} node ${number}`
    this.random = dice(plan.seed * 1000 + 700 + number)
    this.socket = io(plan.urls[number % plan.urls.length], plan.transports ? { transports: plan.transports } : {})
    this.socket.on("connect", () => {
      history.note(this.who, "up")
      this.join()
    })
    this.socket.on("disconnect", () => {
      history.note(this.who, "down")
      this.joined = false
      this.#attempt += 1
    })
    this.socket.onAny((event, payload) => history.told(this.who, plan.label, event, payload))
    this.socket.on("chat", (row) => this.receive(row))
    this.socket.on("change", (row) => this.receive(row))
    this.socket.on("head", ({ epoch }) => {
      if (!this.epoch || epoch === this.epoch) return
      this.startOver(epoch)
      this.join()
    })
  }

  /** Sends an event; returns the answer, or null when the connection was lost before it came. */
  async ask(event, data) {
    if (!this.socket.connected) return null
    return this.socket.emitWithAck(event, data).catch(() => null)
  }

  async join() {
    const attempt = (this.#attempt += 1)
    this.joined = false
    this.#latest = 0
    let entered = false
    for (;;) {
      const answer = entered ? await this.ask("since", { after: this.applied }) : await this.ask("join", { label: plan.label, after: this.applied })
      if (answer === null || attempt !== this.#attempt) return
      if (answer.ok) {
        entered = true
        if (this.merge(answer)) break
      } else {
        entered = entered && answer.code !== "not_joined"
        await sleep(answer.retry_after_ms ?? RETRY_MS)
        if (attempt !== this.#attempt) return
      }
    }
    this.applied = Math.max(this.applied, this.#latest)
    this.joined = true
  }

  /** Takes in the rows of an answer; returns whether nothing is missing any more. */
  merge({ epoch, head, messages, upto }) {
    if (this.epoch !== epoch || head < this.applied) {
      const isFirst = !this.epoch
      this.startOver(epoch)
      if (!isFirst) return false
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
    history.note(this.who, "load", { epoch, rows: [] })
  }

  /** A live event. They come in the order of `rev`, so a client that has caught up is complete up to each. */
  receive(row) {
    this.put(row)
    this.#latest = Math.max(this.#latest, row.rev)
    if (this.joined) this.applied = Math.max(this.applied, row.rev)
  }

  put(row) {
    if ((this.rows.get(row.seq)?.rev ?? 0) >= row.rev) return
    this.rows.set(row.seq, row)
    history.note(this.who, "seen", { row: brief(row) })
  }

  /** Posts one message after the other. */
  async post() {
    for (;;) {
      await sleep(plan.post_seconds * 1000 * (0.5 + this.random()))
      if (posting) await this.deliver({ handle: this.who, message: `${this.who} says ${(this.#posted += 1)}.`, id: randomUUID() })
    }
  }

  /** Sends a message under the same id until it is acknowledged. */
  async deliver(message) {
    this.pending = message
    history.note(this.who, "invoke", { do: "chat", id: message.id, message: message.message })
    for (;;) {
      await until(() => this.joined, Infinity)
      const answer = await this.ask("chat", message)
      if (answer?.ok) {
        history.note(this.who, "ok", { id: message.id, seq: answer.seq, rev: answer.seq })
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

  leave() {
    const rows = [...this.rows.values()].sort((one, other) => one.seq - other.seq).map(brief)
    const pale = this.pending ? [this.pending.id] : []
    history.note(this.who, "screen", { label: plan.label, applied: this.applied, epoch: this.epoch, rows, pale })
  }
}

setTimeout(() => process.exit(1), plan.deadline_seconds * 1000).unref()
const clients = Array.from({ length: plan.clients }, (_, number) => new StockClient(number))
if (!(await until(() => clients.every((client) => client.joined), START_MS))) process.exit(1)
console.log("ready")
clients.forEach((client, number) => number % 2 && client.post())

for await (const command of createInterface({ input: process.stdin })) {
  const [order, id] = command.split(" ")
  posting = order === "talk"
  if (order === "home") break
  if (order === "settle") await until(() => clients.every((client) => client.joined && !client.pending), SETTLE_MS)
  if (order === "probe") await until(() => clients.every((client) => client.has(`${id}-${client.label}`)), PROBE_MS)
  if (order === "settle" || order === "probe") console.log("done")
}
for (const client of clients) client.leave()
history.write()
process.exit()

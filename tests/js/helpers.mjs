// Small real things the tests are played with: people's messages, a clock turned by hand, a server in a box.

import { Refused, Unreachable } from "../../static/js/answers.js"

/** A message as the server tells it. */
export function row(seq, more = {}) {
  return {
    label: "kitchen",
    seq,
    rev: seq,
    handle: "Ada",
    message: `number ${seq}`,
    timestamp: new Date(Date.UTC(2026, 10, 22, 9, 0, seq)).toISOString(),
    mark: "adaadaadaadaadaa",
    ...more,
  }
}

/** The page of a room, as the HTML carries it. */
export function page(rows, more = {}) {
  const head = Math.max(0, ...rows.map(({ rev }) => rev))
  return { label: "kitchen", name: "", head, upto: head, epoch: "one", messages: rows, older: false, you: { mark: "me" }, ...more }
}

/** Lets everything that waits only for a promise go on. */
export async function settled() {
  for (let turn = 0; turn < 30; turn += 1) await Promise.resolve()
}

/** Time stands still until the test says so. */
export class FakeClock {
  #now = Date.UTC(2026, 10, 22, 9)
  #timers = new Set()

  now = () => this.#now
  random = () => 1

  later = (ms, work) => {
    const timer = { at: this.#now + ms, work }
    this.#timers.add(timer)
    return () => this.#timers.delete(timer)
  }

  /** Lets time pass, doing on the way what falls due. */
  async pass(ms) {
    const end = this.#now + ms
    await settled()
    for (let timer; (timer = this.#next(end)); ) {
      this.#timers.delete(timer)
      this.#now = timer.at
      timer.work()
      await settled()
    }
    this.#now = end
  }

  #next(end) {
    return [...this.#timers].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0]
  }
}

/** The journal of one room: numbers, rows, and the answers the wire promises. */
export class FakeRoom {
  head = 0
  epoch = "one"
  rows = new Map()

  store(message) {
    this.head += 1
    const stored = row(this.head, message)
    this.rows.set(this.head, stored)
    return stored
  }

  change(seq, what) {
    this.head += 1
    const changed = { ...this.rows.get(seq), ...what, rev: this.head }
    this.rows.set(seq, changed)
    return changed
  }

  #sorted(key) {
    return [...this.rows.values()].sort((a, b) => a[key] - b[key])
  }

  since(after, limit = 200) {
    const all = this.#sorted("rev").filter(({ rev }) => rev > after)
    const messages = all.slice(0, limit)
    const upto = all.length > limit ? messages.at(-1).rev : this.head
    return { ok: true, messages, upto, head: this.head, epoch: this.epoch }
  }

  history(before, limit = 50) {
    const all = this.#sorted("seq").filter(({ seq }) => seq < before)
    return { ok: true, messages: all.slice(-limit), head: this.head, epoch: this.epoch, older: all.length > limit, newer: before <= this.head }
  }

  join(after, limit) {
    const you = { mark: "me" }
    const about = { label: "kitchen", name: "", people: [], you }
    if (after !== undefined) return { ...about, ...this.since(after, limit), missed: 0 }
    const { messages, older } = this.history(Infinity, limit)
    return { ...about, ok: true, messages, older, upto: this.head, head: this.head, epoch: this.epoch }
  }

  chat({ id, handle, message }) {
    const before = [...this.rows.values()].find((one) => one.id === id)
    const { seq, rev, timestamp } = before ?? this.store({ id, handle, message, mark: "me" })
    return { ok: true, seq, rev, timestamp, head: this.head, ...(before && { duplicate: true }) }
  }

  answer(event, data) {
    if (event === "join") return this.join(data.after)
    if (event === "since") return this.since(data.after)
    if (event === "history") return this.history(data.before)
    return this.chat(data)
  }
}

/** A line to that room which the test cuts and mends; `answers` may be replaced to misbehave. */
export class FakeSocket extends EventTarget {
  up = false
  asked = []
  #heard = {}

  constructor(room) {
    super()
    this.room = room
    this.answers = (event, data) => room.answer(event, data)
  }

  hear(event, tell) {
    this.#heard[event] = tell
  }

  tell(event, payload) {
    this.#heard[event](payload)
  }

  async ask(event, data) {
    if (!this.up) throw new Unreachable("not connected")
    this.asked.push({ event, ...data })
    const answer = await this.answers(event, data)
    if (!answer.ok) throw new Refused(answer)
    return answer
  }

  connect() {
    this.up = true
    this.dispatchEvent(new Event("up"))
  }

  disconnect() {
    this.up = false
    this.dispatchEvent(new Event("down"))
  }
}

// Small real things the tests are played with: people's messages, a clock turned by hand, a server
// in a box.

import { Refused, Unreachable } from "../../static/js/lib/errors.js"

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
  return {
    label: "kitchen",
    name: "",
    head,
    upto: head,
    epoch: "one",
    messages: rows,
    older: false,
    you: { mark: "me" },
    ...more,
  }
}

/** Lets everything that waits only for a promise go on. */
export async function flushPromises() {
  for (let turn = 0; turn < 30; turn += 1) await null
}

/** Time stands still until the test says so. */
export class FakeClock {
  #now = Date.UTC(2026, 10, 22, 9)
  #timers = new Set()

  now = () => this.#now
  random = () => 1

  schedule = (ms, work) => {
    const timer = { at: this.#now + ms, work }
    this.#timers.add(timer)
    return () => this.#timers.delete(timer)
  }

  /** Time passes and nothing is done: what falls due waits. */
  sleep(ms) {
    this.#now += ms
  }

  /** Lets time pass, doing on the way what falls due. */
  async advance(ms) {
    const end = this.#now + ms
    await flushPromises()
    for (let timer; (timer = this.#next(end));) {
      this.#timers.delete(timer)
      this.#now = Math.max(this.#now, timer.at)
      timer.work()
      await flushPromises()
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
    return {
      ok: true,
      messages: all.slice(-limit),
      head: this.head,
      epoch: this.epoch,
      older: all.length > limit,
      newer: before <= this.head,
    }
  }

  join(after, limit) {
    const you = { mark: "me" }
    const about = { label: "kitchen", name: "", people: [], you }
    const missed = [...this.rows.keys()].filter((seq) => seq > after).length
    if (after !== undefined) return { ...about, ...this.since(after, limit), missed }
    const { messages, older } = this.history(Infinity, limit)
    return {
      ...about,
      ok: true,
      messages,
      older,
      upto: this.head,
      head: this.head,
      epoch: this.epoch,
    }
  }

  chat({ id, handle, message }) {
    const before = [...this.rows.values()].find((one) => one.id === id)
    const { seq, rev, timestamp } = before ?? this.store({ id, handle, message, mark: "me" })
    return { ok: true, seq, rev, timestamp, head: this.head, ...(before && { duplicate: true }) }
  }

  /** `limit` makes a small server of it, to which a few messages are many. */
  answer(event, data, limit) {
    if (event === "join") return this.join(data.after, limit)
    if (event === "since") return this.since(data.after, limit)
    if (event === "history") return this.history(data.before, limit)
    return this.chat(data)
  }
}

/** The storage of one browser, and what its tabs hear of one another's writing. */
export class FakeStorage {
  kept = new Map()
  full = false
  #tabs = new Set()

  get length() {
    return this.kept.size
  }

  key = (place) => [...this.kept.keys()][place] ?? null
  getItem = (key) => this.kept.get(key) ?? null

  /** The same shelf as one tab sees it, with the page on which that tab hears the others. */
  tab() {
    const heard = new EventTarget()
    this.#tabs.add(heard)
    const write = (key, newValue) => {
      if (newValue !== null && this.full) throw new Error("QuotaExceededError")
      if (newValue === null ? !this.kept.delete(key) : this.kept.get(key) === newValue) return
      if (newValue !== null) this.kept.set(key, newValue)
      for (const other of this.#tabs) {
        if (other !== heard) {
          queueMicrotask(() =>
            other.dispatchEvent(Object.assign(new Event("storage"), { key, newValue })),
          )
        }
      }
    }
    const shelf = this
    const area = {
      key: this.key,
      getItem: this.getItem,
      setItem: (key, value) => write(key, value),
      removeItem: (key) => write(key, null),
      get length() {
        return shelf.length
      },
    }
    return { area, page: heard }
  }
}

/** Locks as the browser has them: one holder for each name, the others wait in line. */
export class FakeLocks {
  #last = new Map()

  request(name, work) {
    const before = this.#last.get(name) ?? Promise.resolve()
    const mine = before.then(work)
    this.#last.set(
      name,
      mine.catch(() => {}),
    )
    return mine
  }
}

/** A line to that room which the test cuts and mends; `answers` may be replaced to misbehave. */
export class FakeSocket extends EventTarget {
  up = false
  requests = []
  retries = 0
  #listeners = {}

  constructor(room) {
    super()
    this.room = room
    this.answers = (event, data) => room.answer(event, data)
  }

  on(event, listener) {
    this.#listeners[event] = listener
  }

  receive(event, payload) {
    this.#listeners[event](payload)
  }

  async request(event, data) {
    if (!this.up) throw new Unreachable("not connected")
    this.requests.push({ event, ...data })
    const answer = await this.answers(event, data)
    if (!answer.ok) throw new Refused(answer)
    return answer
  }

  connect() {
    this.up = true
    this.dispatchEvent(new Event("connected"))
  }

  disconnect() {
    this.up = false
    this.dispatchEvent(new Event("disconnected"))
  }

  retryNow() {
    this.retries += 1
  }

  reconnect() {
    this.disconnect()
    this.connect()
  }
}

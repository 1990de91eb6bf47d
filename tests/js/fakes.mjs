// Small working fakes of the clock, the server and the browser, and example data for the tests.

import { Refused, Unreachable } from "../../static/js/lib/errors.js"
import { Preferences } from "../../static/js/state/preferences.js"

const ADA = "adaadaadaadaadaa"

/** A message as the server sends it. */
export function row(seq, changes = {}) {
  return {
    label: "kitchen",
    seq,
    rev: seq,
    handle: "Ada",
    message: `number ${seq}`,
    timestamp: new Date(Date.UTC(2026, 10, 22, 9, 0, seq)).toISOString(),
    mark: ADA,
    ...changes,
  }
}

/** The answer to `join`, as the page of a room contains it. */
export function page(messages, changes = {}) {
  const head = Math.max(0, ...messages.map(({ rev }) => rev))
  return {
    label: "kitchen",
    name: "",
    head,
    upto: head,
    epoch: "one",
    messages,
    older: false,
    you: { mark: "me" },
    ...changes,
  }
}

/** Runs everything that waits only for a promise. */
export async function flushPromises() {
  for (let turn = 0; turn < 30; turn += 1) await null
}

/** A clock that stands still until the test advances it. */
export class FakeClock {
  #now = Date.UTC(2026, 10, 22, 9)
  #timers = new Set()

  now = () => this.#now
  random = () => 1

  schedule = (delayMs, work) => {
    const timer = { at: this.#now + delayMs, work }
    this.#timers.add(timer)
    return () => this.#timers.delete(timer)
  }

  /** Lets time pass without running timers, as when a computer sleeps. */
  sleep(ms) {
    this.#now += ms
  }

  /** Lets time pass and runs the timers. */
  async advance(ms) {
    const end = this.#now + ms
    await flushPromises()
    let timer = this.#nextTimer(end)
    while (timer) {
      this.#timers.delete(timer)
      this.#now = Math.max(this.#now, timer.at)
      timer.work()
      await flushPromises()
      timer = this.#nextTimer(end)
    }
    this.#now = end
  }

  #nextTimer(end) {
    const due = [...this.#timers].filter(({ at }) => at <= end)
    return due.sort((a, b) => a.at - b.at)[0]
  }
}

/** One room on the server: stores messages and changes, and answers requests. */
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

  change(seq, changes) {
    this.head += 1
    const changed = { ...this.rows.get(seq), ...changes, rev: this.head }
    this.rows.set(seq, changed)
    return changed
  }

  /** A small limit makes a few messages many. */
  answer(event, payload, limit) {
    if (event === "join") return this.join(payload.after, limit)
    if (event === "since") return this.since(payload.after, limit)
    if (event === "history") return this.history(payload.before, limit)
    return this.chat(payload)
  }

  join(after, limit) {
    const common = { label: "kitchen", name: "", people: [], you: { mark: "me" } }
    if (after !== undefined) {
      const missed = [...this.rows.keys()].filter((seq) => seq > after).length
      return { ...common, ...this.since(after, limit), missed }
    }
    const { head, epoch } = this
    const { messages, older } = this.history(Infinity, limit)
    return { ...common, ok: true, messages, older, upto: head, head, epoch }
  }

  since(after, limit = 200) {
    const { head, epoch } = this
    const changes = this.#sortedBy("rev").filter(({ rev }) => rev > after)
    const messages = changes.slice(0, limit)
    const isComplete = changes.length <= limit
    return { ok: true, messages, upto: isComplete ? head : messages.at(-1).rev, head, epoch }
  }

  history(before, limit = 50) {
    const { head, epoch } = this
    const earlier = this.#sortedBy("seq").filter(({ seq }) => seq < before)
    const messages = earlier.slice(-limit)
    return { ok: true, messages, head, epoch, older: earlier.length > limit, newer: before <= head }
  }

  chat({ id, handle, message }) {
    const known = [...this.rows.values()].find((stored) => stored.id === id)
    const { seq, rev, timestamp } = known ?? this.store({ id, handle, message, mark: "me" })
    const answer = { ok: true, seq, rev, timestamp, head: this.head }
    return known ? { ...answer, duplicate: true } : answer
  }

  #sortedBy(key) {
    return [...this.rows.values()].sort((a, b) => a[key] - b[key])
  }
}

/** A connection to a FakeRoom. Tests may replace `answer` to make the server misbehave. */
export class FakeSocket extends EventTarget {
  isConnected = false
  requests = []
  retryCount = 0
  #listeners = {}

  constructor(room) {
    super()
    this.answer = (event, payload) => room.answer(event, payload)
  }

  connect() {
    this.isConnected = true
    this.dispatchEvent(new Event("connected"))
  }

  disconnect() {
    this.isConnected = false
    this.dispatchEvent(new Event("disconnected"))
  }

  /** Receives an event from the server. */
  receive(event, payload) {
    this.#listeners[event](payload)
  }

  on(event, listener) {
    this.#listeners[event] = listener
  }

  async request(event, payload) {
    if (!this.isConnected) throw new Unreachable("not connected")
    this.requests.push({ event, ...payload })
    const answer = await this.answer(event, payload)
    if (!answer.ok) throw new Refused(answer)
    return answer
  }

  retryNow() {
    this.retryCount += 1
  }

  reconnect() {
    this.disconnect()
    this.connect()
  }

  open() {
    this.connect()
  }

  close() {
    this.disconnect()
  }
}

/** The localStorage of one browser, with the events that its tabs receive. */
export class FakeStorage {
  entries = new Map()
  isFull = false
  #tabs = new Set()

  get length() {
    return this.entries.size
  }

  key = (index) => [...this.entries.keys()][index] ?? null
  getItem = (key) => this.entries.get(key) ?? null

  /** The storage as one tab sees it. The result is what OutboxStore and others depend on. */
  openTab() {
    const storageEvents = new EventTarget()
    this.#tabs.add(storageEvents)
    const entries = this.entries
    const storage = {
      key: this.key,
      getItem: this.getItem,
      setItem: (key, value) => this.#setItem(storageEvents, key, value),
      removeItem: (key) => this.#removeItem(storageEvents, key),
      get length() {
        return entries.size
      },
    }
    return { getStorage: () => storage, storageEvents }
  }

  #setItem(tab, key, value) {
    if (this.isFull) throw new Error("QuotaExceededError")
    if (this.entries.get(key) === value) return
    this.entries.set(key, value)
    this.#notifyOthers(tab, key, value)
  }

  #removeItem(tab, key) {
    if (this.entries.delete(key)) this.#notifyOthers(tab, key, null)
  }

  /** Browsers dispatch `storage` in all tabs except the one that has written. */
  #notifyOthers(tab, key, newValue) {
    for (const other of this.#tabs) {
      if (other === tab) continue
      const event = Object.assign(new Event("storage"), { key, newValue })
      queueMicrotask(() => other.dispatchEvent(event))
    }
  }
}

/** The Web Locks API: one holder for each name, the others wait. */
export class FakeLocks {
  #last = new Map()

  request(name, ...rest) {
    const work = rest.pop()
    const previous = this.#last.get(name)
    if (previous && rest[0]?.ifAvailable) return Promise.resolve(null).then(work)
    const result = (previous ?? Promise.resolve()).then(() => work({ name }))
    const ended = result
      .catch(() => {})
      .then(() => {
        if (this.#last.get(name) === ended) this.#last.delete(name)
      })
    this.#last.set(name, ended)
    return result
  }

  /** The locks as one page sees them; the browser releases them when the page ends. */
  openPage() {
    let end
    const ended = new Promise((resolve) => {
      end = resolve
    })
    const request = (name, options, work) => {
      return this.request(name, options, (lock) => {
        return lock ? Promise.race([work(lock), ended]) : work(null)
      })
    }
    return { request, end }
  }
}

/** Preferences need no more of localStorage than this. */
export function fakeGetStorage() {
  const { getStorage } = new FakeStorage().openTab()
  return getStorage
}

/** The preferences of a browser with one tab. */
export function fakePreferences(getStorage = fakeGetStorage()) {
  return new Preferences(getStorage, new EventTarget())
}

/**
 * The CPU time of this process during a call, in milliseconds. Unlike the elapsed time, it does not
 * depend on what else the machine does.
 *
 * @param {() => void} work
 */
export function cpuMilliseconds(work) {
  const start = process.cpuUsage()
  work()
  const { user, system } = process.cpuUsage(start)
  return (user + system) / 1000
}

/**
 * Random numbers from a seed (Mulberry32): the same seed gives the same numbers.
 *
 * @returns {() => number} from 0 to 1
 */
export function seededRandom(seed) {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

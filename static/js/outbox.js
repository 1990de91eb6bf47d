// What this person has said or changed and the server has not yet answered for: sent one at a time, in order. Knows no page and no socket.

import { Refused } from "./answers.js"

/** @import { Clock } from "./clock.js" */
/** @import { Lead, OutboxStore } from "./tabs.js" */
/** @import { Item, Row, Stored, Wish } from "./wire.js" */
/** @typedef {Pick<OutboxStore, "all" | "put" | "drop" | "hear">} Store */

const FIRST_RETRY_MS = 1000
const LONGEST_RETRY_MS = 30_000
const LONGEST_WAIT_MS = 24 * 3600 * 1000
export const MAX_WAITING = 100 // messages and changes
const TOO_OLD = "For a day it could not be sent."

/**
 * Dispatches `change` with the item that is new or different, `sent` with an item and where the server put it, `gone` with the id of
 * one that will not be sent. What other tabs of this room have said is in here too, and is sent by whichever tab can.
 */
export class Outbox extends EventTarget {
  /** @type {Map<string, Item>} */ #items = new Map()
  /** @type {Set<string>} what only this page remembers, because the browser could not keep it */ #unkept = new Set()
  #awake = false
  #running = false
  #tries = 0
  #stir = () => {}
  #parts
  #queue = () => [...this.#items.values()].filter((item) => item.state === "queued").sort((a, b) => a.at - b.at)
  /** After all that was said so far, in any tab. */
  #last = () => Math.max(this.#parts.clock.now(), ...[...this.#items.values()].map((item) => item.at + 1))

  /** @param {{ send: (item: Item) => Promise<Stored>, lead: Lead, clock: Clock, store: Store }} parts */
  constructor(parts) {
    super()
    this.#parts = parts
    parts.store.hear((id, item) => this.#heard(id, item))
  }

  /** How many will be sent when the connection is back. */
  get waiting() {
    return this.#queue().length
  }

  /** Whether all of them outlive this page. */
  get kept() {
    return this.#unkept.size === 0
  }

  /** Takes up what an earlier page left behind. */
  restore() {
    for (const item of this.#parts.store.all()) this.#heard(item.id, item)
    this.#next()
  }

  /** What the server will not have, for good, though it was asked for. */
  get failed() {
    return [...this.#items.values()].filter((item) => item.state === "failed")
  }

  /** Queues a message or change and returns its item, or null when too much is waiting already. @param {Wish} wish */
  say(wish) {
    return this.sayAll([wish])?.[0] ?? null
  }

  /** Queues all of them in order and returns their items; when not all fit, queues nothing and returns null. @param {Wish[]} wishes */
  sayAll(wishes) {
    if (this.waiting + wishes.length > MAX_WAITING) return null
    const items = wishes.map((wish) => this.#queued(wish))
    this.#run()
    return items
  }

  /** @param {Wish} wish */
  #queued(wish) {
    const at = this.#last()
    const timestamp = new Date(this.#parts.clock.now()).toISOString()
    /** @type {Item} */
    const item = { id: newId(), handle: "", message: "", ...wish, timestamp, at, state: "queued" }
    this.#change(item)
    return item
  }

  /** Tries a failed message again, as the last one, under its old id: perhaps it was stored and only the answer lost. @param {string} id */
  retry(id) {
    const item = this.#items.get(id)
    if (!item) return
    this.#change({ ...item, at: this.#last(), state: "queued", reason: undefined, not_before: undefined })
    this.#run()
  }

  /** Gives up a message and hands it back. @param {string} id @returns {Item | undefined} */
  discard(id) {
    const item = this.#items.get(id)
    this.#parts.store.drop(id)
    this.#forget(id)
    return item
  }

  /** Its row has come: it is stored, whatever becomes of the answer. @param {(id: string) => Row | undefined} rowOf */
  settle(rowOf) {
    for (const item of [...this.#items.values()]) {
      const row = rowOf(item.id)
      if (row) this.#done(item, { seq: row.seq, rev: row.rev, timestamp: row.timestamp, head: row.rev })
    }
  }

  /** The room is there: what waits goes now, without the rest of its pause. */
  wake() {
    this.#awake = true
    this.#tries = 0
    this.#stir()
    this.#run()
  }

  /** The room is away. */
  sleep() {
    this.#awake = false
    this.#stir()
  }

  /** One tab at a time, one message at a time. Between two tries another tab may lead: perhaps it is only our line that is dead. */
  async #run() {
    if (this.#running) return
    this.#running = true
    while (this.#awake && this.#next()) {
      const handOn = await this.#parts.lead()
      this.#reread()
      let pause = 0
      for (let item; !pause && this.#awake && (item = this.#next()); ) pause = await this.#try(item)
      handOn()
      if (pause) await this.#rest(pause)
    }
    this.#running = false
  }

  /** @param {Item} item @returns {Promise<number>} how long to wait before anything else is sent */
  async #try(item) {
    const early = (item.not_before ?? 0) - this.#parts.clock.now()
    if (early > 0 && early < LONGEST_WAIT_MS) return early // longer was asked by nobody: the clock has been set back
    try {
      this.#done(item, await this.#parts.send(item))
      this.#tries = 0
      return 0
    } catch (error) {
      const now = this.#items.get(item.id) // its row may have come meanwhile, or another tab may have done something with it
      return now?.state === "queued" ? this.#failed(now, error) : 0
    }
  }

  /** @param {Item} item @param {unknown} error */
  #failed(item, error) {
    const refusal = error instanceof Refused ? error : null
    if (refusal && !refusal.retry) {
      this.#tries = 0
      this.#change({ ...item, state: "failed", reason: refusal.message })
      return 0
    }
    const pause = Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** this.#tries) * (0.5 + this.#parts.clock.random() / 2)
    this.#tries += 1
    const asked = refusal?.retryAfterMs
    // Kept with the message, so that another tab or the next page does not push past what the server asked for.
    const not_before = asked === undefined ? undefined : this.#parts.clock.now() + asked
    if (refusal || item.reason) this.#change({ ...item, reason: refusal?.message, not_before })
    return asked ?? pause
  }

  /** @param {number} pause */
  #rest(pause) {
    if (!this.#awake) return undefined
    return new Promise((/** @type {(nothing: void) => void} */ resolve) => {
      const callOff = this.#parts.clock.later(pause, () => resolve())
      this.#stir = () => (callOff(), resolve())
    })
  }

  #next() {
    const tooOld = this.#parts.clock.now() - LONGEST_WAIT_MS
    for (const item of this.#queue()) {
      if (item.at > tooOld) return item
      this.#change({ ...item, state: "failed", reason: TOO_OLD })
    }
    return undefined
  }

  /** What the tab that led before us has done. */
  #reread() {
    const kept = new Map(this.#parts.store.all().map((item) => [item.id, item]))
    for (const [id, item] of kept) this.#heard(id, item)
    for (const id of [...this.#items.keys()]) if (!kept.has(id) && !this.#unkept.has(id)) this.#forget(id)
  }

  /** What is kept now under an id, written by another tab or an earlier page. @param {string} id @param {Item | null} item */
  #heard(id, item) {
    if (!item) return this.#forget(id)
    if (item.state === "sent") return this.#done(item, /** @type {Stored} */ (item.answer))
    if (JSON.stringify(this.#items.get(id)) === JSON.stringify(item)) return
    this.#unkept.delete(id)
    this.#items.set(id, item)
    this.dispatchEvent(new CustomEvent("change", { detail: item }))
    this.#run()
  }

  /** @param {Item} item */
  #change(item) {
    this.#items.set(item.id, item)
    if (this.#parts.store.put(item)) this.#unkept.delete(item.id)
    else this.#unkept.add(item.id)
    this.dispatchEvent(new CustomEvent("change", { detail: item }))
  }

  /** The other tabs are told where it stands before it is dropped, or they would have nothing to show for a moment. @param {Item} item @param {Stored} answer */
  #done(item, answer) {
    if (this.#items.delete(item.id) && item.state !== "sent") this.#parts.store.put({ ...item, state: "sent", answer })
    this.#unkept.delete(item.id)
    this.#parts.store.drop(item.id)
    this.dispatchEvent(new CustomEvent("sent", { detail: { item, answer } }))
  }

  /** @param {string} id */
  #forget(id) {
    this.#unkept.delete(id)
    if (this.#items.delete(id)) this.dispatchEvent(new CustomEvent("gone", { detail: id }))
  }
}

/** A random name for a message, 128 bits. `crypto.randomUUID` does not exist on plain http, where self-hosted chats live; `getRandomValues` does. */
export function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16))
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "")
}

// The own messages and changes that the server has not stored yet, sent one at a time and in order.

import { Refused } from "../lib/errors.js"
import { randomId } from "../lib/ids.js"

/** @import { Clock } from "../lib/clock.js" */
/** @import { Item, Outgoing, Row, Stored } from "../wire.js" */
/** @import { Elect } from "./leader_election.js" */
/** @import { OutboxStore } from "./outbox_store.js" */

export const MAX_OUTBOX_ITEMS = 100 // messages and changes
const FIRST_RETRY_DELAY_MS = 1000
const MAX_RETRY_DELAY_MS = 30_000
const MAX_AGE_MS = 24 * 3600 * 1000
const EXPIRED = "Couldn't send for 24 hours."
/** The composer shows how long a message waits for one of these limits. */
const SLOW_MODE = "slow_mode"
const RATE_LIMITS = ["rate_limited", SLOW_MODE]

/**
 * The outbox also contains the items of other tabs in the same room; one tab at a time sends them.
 * Sends are idempotent, because the server stores an id once.
 *
 * Dispatches `change` with an item that is new or has changed, `sent` with `{ item, answer }`, and
 * `removed` with the id of an item that will not be sent.
 */
export class Outbox extends EventTarget {
  /** @type {Map<string, Item>} by id */
  #items = new Map()
  /** @type {Set<string>} the ids of items that were queued in this tab */
  #ownIds = new Set()
  /** @type {Set<string>} the ids of items that could not be stored in the browser */
  #unsaved = new Set()
  #send
  #elect
  #clock
  #getServerTime
  #store
  /** Whether there is a connection to the room. */
  #isActive = false
  #isRunning = false
  /** Failed attempts since the last success. */
  #failureCount = 0
  /** How often `endWait` was called. */
  #endedWaits = 0
  /** Ends the delay before the next attempt. */
  #endDelay = () => {}

  /**
   * @param {object} dependencies
   * @param {(item: Item) => Promise<Stored>} dependencies.send throws Refused or Unreachable
   * @param {Elect} dependencies.elect
   * @param {Clock} dependencies.clock
   * @param {() => number} [dependencies.getServerTime] what the messages show until they are stored
   * @param {Pick<OutboxStore, "all" | "has" | "save" | "remove" | "onChange">} dependencies.store
   */
  constructor({ send, elect, clock, store, getServerTime = clock.now }) {
    super()
    this.#send = send
    this.#elect = elect
    this.#clock = clock
    this.#getServerTime = getServerTime
    this.#store = store
    store.onChange((id, item) => this.#applyStored(id, item))
  }

  /** The number of items that wait to be sent: messages and changes. */
  get queuedCount() {
    return this.#queue().length
  }

  /** The number of messages that wait to be sent. */
  get queuedMessageCount() {
    return this.#queue().filter(({ event }) => event === undefined).length
  }

  /** Until when a rate limit delays the next item, in milliseconds since 1970; 0 if none does. */
  get waitsUntil() {
    const next = this.#queue()[0]
    // A server that is busy asks to wait too. That is an error, with a reason.
    if (!next || next.reason !== undefined) return 0
    return this.#waitMs(next) > 0 ? (next.not_before ?? 0) : 0
  }

  /** Whether all items survive a reload of the page. */
  get isPersisted() {
    return this.#unsaved.size === 0
  }

  /** Items that the server has refused. */
  get failedItems() {
    return [...this.#items.values()].filter((item) => item.state === "failed")
  }

  /**
   * Whether an item exists that another tab may have removed a moment ago.
   *
   * @param {string} id
   */
  isStored(id) {
    return this.#unsaved.has(id) || this.#store.has(id)
  }

  /**
   * Whether this tab has queued an item; otherwise another tab or an earlier page has.
   *
   * @param {string} id
   */
  wasQueuedHere(id) {
    return this.#ownIds.has(id)
  }

  /** Loads the items that earlier pages and other tabs have stored. */
  restore() {
    for (const item of this.#store.all()) this.#applyStored(item.id, item)
    this.#nextItem()
  }

  /**
   * Queues a message or a change.
   *
   * @param {Outgoing} outgoing
   * @returns {Item | null} null when the outbox is full
   */
  enqueue(outgoing) {
    const items = this.enqueueAll([outgoing])
    return items && items[0]
  }

  /**
   * Queues all of them in order, or none.
   *
   * @param {Outgoing[]} all
   * @returns {Item[] | null} null when not all fit into the outbox
   */
  enqueueAll(all) {
    if (this.queuedCount + all.length > MAX_OUTBOX_ITEMS) return null
    const items = all.map((outgoing) => this.#addItem(outgoing))
    this.#run()
    return items
  }

  /**
   * Queues a failed message again, with its id: it may have been stored although the answer was
   * lost.
   *
   * @param {string} id
   */
  retry(id) {
    const item = this.#items.get(id)
    if (!item) return
    this.#requeue(item)
    this.#run()
  }

  /**
   * Queues the messages again that were refused because their name is taken, under another name.
   *
   * @param {string} takenName
   * @param {string} name
   */
  retryAs(takenName, name) {
    for (const item of this.failedItems) {
      const isRefusedName = item.suggestion !== undefined && item.handle === takenName
      if (isRefusedName) this.#requeue({ ...item, handle: name })
    }
    this.#run()
  }

  /**
   * Gives up an item.
   *
   * @param {string} id
   * @returns {Item | undefined} the item
   */
  discard(id) {
    const item = this.#items.get(id)
    this.#store.remove(id)
    this.#remove(id)
    return item
  }

  /**
   * Removes the items whose rows have come: they are stored, even if the answer is lost.
   *
   * @param {(id: string) => Row | undefined} rowById
   */
  confirmStored(rowById) {
    for (const item of [...this.#items.values()]) {
      const row = rowById(item.id)
      if (!row) continue
      const { seq, rev, timestamp } = row
      this.#finish(item, { seq, rev, timestamp, head: rev })
    }
  }

  /** There is a connection: queued items are sent at once, without the rest of the delay. */
  resume() {
    this.#isActive = true
    this.#failureCount = 0
    this.#endDelay()
    this.#run()
  }

  /**
   * Slow mode was turned off or shortened: what waits is sent. What is above another limit is
   * refused again.
   */
  endWait() {
    this.#endedWaits += 1
    for (const item of this.#queue()) {
      if (item.not_before) this.#update({ ...item, not_before: undefined })
    }
    this.#endDelay()
    this.#run()
  }

  /** The connection is lost. */
  pause() {
    this.#isActive = false
    this.#endDelay()
  }

  // Sending

  /** Sends until nothing is queued, unless a run is under way. */
  async #run() {
    if (this.#isRunning) return
    this.#isRunning = true
    while (this.#isActive && this.#nextItem()) {
      const releaseLeadership = await this.#elect()
      this.#syncWithStore()
      const delayMs = await this.#sendQueued()
      // During the delay another tab may lead: perhaps only the connection of this tab is dead.
      releaseLeadership()
      if (delayMs > 0) await this.#wait(delayMs)
    }
    this.#isRunning = false
  }

  /**
   * Sends queued items, one at a time.
   *
   * @returns {Promise<number>} the delay before the next attempt in milliseconds; 0 when there is
   *   nothing to send
   */
  async #sendQueued() {
    let item = this.#nextItem()
    while (item && this.#isActive) {
      const delayMs = await this.#deliver(item)
      if (delayMs > 0) return delayMs
      item = this.#nextItem()
    }
    return 0
  }

  /**
   * @param {Item} item
   * @returns {Promise<number>} the delay before anything else is sent, in milliseconds
   */
  async #deliver(item) {
    const waitMs = this.#waitMs(item)
    if (waitMs > 0) return waitMs
    const endedWaits = this.#endedWaits
    try {
      this.#finish(item, await this.#send(item))
      this.#failureCount = 0
      return 0
    } catch (error) {
      // Meanwhile its row may have come, or another tab may have changed it.
      const current = this.#items.get(item.id)
      if (current?.state !== "queued") return 0
      const isSlowMode = error instanceof Refused && error.code === SLOW_MODE
      // It was turned off while the refusal was on its way.
      if (isSlowMode && endedWaits !== this.#endedWaits) return 0
      return this.#handleFailure(current, error)
    }
  }

  /**
   * @param {Item} item
   * @returns {number} how long the server has asked to wait, in milliseconds from now
   */
  #waitMs(item) {
    const waitMs = (item.not_before ?? 0) - this.#clock.now()
    // No server asks for more than MAX_AGE_MS: then the clock has been set back.
    return waitMs < MAX_AGE_MS ? Math.max(0, waitMs) : 0
  }

  /**
   * @param {Item} item
   * @param {unknown} error
   * @returns {number} the delay before the next attempt, in milliseconds
   */
  #handleFailure(item, error) {
    if (!(error instanceof Refused)) {
      if (item.reason) this.#update({ ...item, reason: undefined, not_before: undefined })
      return this.#nextRetryDelay()
    }
    if (!error.retry) {
      this.#failureCount = 0
      const { message: reason, suggestion } = error
      this.#update({ ...item, state: "failed", reason, suggestion })
      return 0
    }
    const retryDelay = this.#nextRetryDelay()
    const { retryAfterMs } = error
    // A rate limit is no error of this message. The composer shows how long it waits.
    const reason = RATE_LIMITS.includes(error.code) ? undefined : error.message
    // Stored with the item, so that another tab or the next page respects the server's rate limit.
    const not_before = retryAfterMs === undefined ? undefined : this.#clock.now() + retryAfterMs
    this.#update({ ...item, reason, not_before })
    return retryAfterMs ?? retryDelay
  }

  /** Exponential back-off with jitter. */
  #nextRetryDelay() {
    const delay = Math.min(MAX_RETRY_DELAY_MS, FIRST_RETRY_DELAY_MS * 2 ** this.#failureCount)
    this.#failureCount += 1
    return delay * (0.5 + this.#clock.random() / 2)
  }

  /**
   * Waits until the delay is over, or ended by `resume` or `pause`.
   *
   * @param {number} delayMs
   * @returns {Promise<void>}
   */
  async #wait(delayMs) {
    if (!this.#isActive) return
    await new Promise((resolve) => {
      const cancelTimer = this.#clock.schedule(delayMs, () => resolve(undefined))
      this.#endDelay = () => {
        cancelTimer()
        resolve(undefined)
      }
    })
  }

  // Items

  /** The queued items in the order in which they are sent. */
  #queue() {
    const queued = [...this.#items.values()].filter((item) => item.state === "queued")
    return queued.sort((a, b) => a.at - b.at)
  }

  /** The first queued item. Items that are too old become failed ones. */
  #nextItem() {
    const oldest = this.#clock.now() - MAX_AGE_MS
    for (const item of this.#queue()) {
      if (item.at > oldest) return item
      this.#update({ ...item, state: "failed", reason: EXPIRED })
    }
    return undefined
  }

  /** The current time, or later: after all items of all tabs. */
  #nextPosition() {
    const positions = [...this.#items.values()].map((item) => item.at + 1)
    return Math.max(this.#clock.now(), ...positions)
  }

  /** @param {Outgoing} outgoing */
  #addItem(outgoing) {
    const timestamp = new Date(this.#getServerTime()).toISOString()
    /** @type {Item} */
    const item = {
      id: randomId(),
      handle: "",
      message: "",
      ...outgoing,
      timestamp,
      at: this.#nextPosition(),
      state: "queued",
    }
    this.#ownIds.add(item.id)
    this.#update(item)
    return item
  }

  /** @param {Item} item */
  #requeue(item) {
    const at = this.#nextPosition()
    const forgotten = { reason: undefined, suggestion: undefined, not_before: undefined }
    this.#update({ ...item, ...forgotten, at, state: "queued" })
  }

  /** @param {Item} item */
  #update(item) {
    this.#items.set(item.id, item)
    if (this.#store.save(item)) this.#unsaved.delete(item.id)
    else this.#unsaved.add(item.id)
    this.dispatchEvent(new CustomEvent("change", { detail: item }))
  }

  /**
   * The server has stored an item.
   *
   * @param {Item} item
   * @param {Stored} answer
   */
  #finish(item, answer) {
    const wasHere = this.#items.delete(item.id)
    // Other tabs are told the answer before the entry is removed; otherwise they would show neither
    // the item nor its row for a moment.
    if (wasHere && item.state !== "sent") this.#store.save({ ...item, state: "sent", answer })
    this.#unsaved.delete(item.id)
    this.#ownIds.delete(item.id)
    this.#store.remove(item.id)
    this.dispatchEvent(new CustomEvent("sent", { detail: { item, answer } }))
  }

  /** @param {string} id */
  #remove(id) {
    this.#unsaved.delete(id)
    this.#ownIds.delete(id)
    const wasHere = this.#items.delete(id)
    if (wasHere) this.dispatchEvent(new CustomEvent("removed", { detail: id }))
  }

  // Other tabs

  /** Applies what other tabs have sent or removed while this one waited for the leadership. */
  #syncWithStore() {
    const stored = this.#store.all()
    const storedIds = new Set(stored.map(({ id }) => id))
    for (const item of stored) this.#applyStored(item.id, item)
    for (const id of [...this.#items.keys()]) {
      if (!storedIds.has(id) && !this.#unsaved.has(id)) this.#remove(id)
    }
  }

  /**
   * Takes over an item as another tab or an earlier page has stored it.
   *
   * @param {string} id
   * @param {Item | null} item null when it was removed
   */
  #applyStored(id, item) {
    if (!item) {
      this.#remove(id)
      return
    }
    if (item.state === "sent") {
      this.#finish(item, /** @type {Stored} */ (item.answer))
      return
    }
    const isUnchanged = JSON.stringify(this.#items.get(id)) === JSON.stringify(item)
    if (isUnchanged) return
    this.#unsaved.delete(id)
    this.#items.set(id, item)
    this.dispatchEvent(new CustomEvent("change", { detail: item }))
    this.#run()
  }
}

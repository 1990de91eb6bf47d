// What this person has said and the server has not yet answered for: sent one at a time, in order. Knows no page and no socket.

import { Refused } from "./answers.js"
import { newId } from "./ids.js"

/** @import { Clock } from "./clock.js" */
/** @import { Item } from "./wire.js" */
/** @typedef {{ load: () => Item[] | Promise<Item[]>, save: (items: Item[]) => void | Promise<void> }} Store */

const FIRST_RETRY_MS = 1000
const LONGEST_RETRY_MS = 30_000

/** @type {Store} */
const forgetful = { load: () => [], save: () => {} }

/** Dispatches `change` with the item that is new or different, `gone` with the id of one that will not be sent. */
export class Outbox extends EventTarget {
  /** @type {Item[]} */ #items = []
  #awake = false
  #busy = false
  #resting = false
  #tries = 0
  #callOff = () => {}
  #send
  #clock
  #store

  /** @param {{ send: (item: Item) => Promise<void>, clock: Clock, store?: Store }} parts */
  constructor({ send, clock, store = forgetful }) {
    super()
    this.#send = send
    this.#clock = clock
    this.#store = store
  }

  /** How many will be sent when the connection is back. */
  get waiting() {
    return this.#items.filter((item) => item.state === "queued").length
  }

  /** Takes up what an earlier page left behind. */
  async restore() {
    const left = await this.#store.load()
    this.#items.unshift(...left)
    for (const item of left) this.#tell(item)
    this.#pump()
  }

  /** @param {{ handle: string, message: string }} said */
  say({ handle, message }) {
    const timestamp = new Date(this.#clock.now()).toISOString()
    /** @type {Item} */
    const item = { id: newId(), handle, message, timestamp, state: "queued" }
    this.#items.push(item)
    this.#tell(item)
    this.#pump()
    return item
  }

  /** Tries a failed message again, under the same id: perhaps only the answer was a no. @param {string} id */
  retry(id) {
    const item = this.#items.find((one) => one.id === id)
    if (!item) return
    Object.assign(item, { state: "queued", reason: undefined })
    this.#tell(item)
    this.#pump()
  }

  /** Gives up a message and hands it back. @param {string} id @returns {Item | undefined} */
  discard(id) {
    const item = this.#items.find((one) => one.id === id)
    this.#drop(id)
    if (item) this.dispatchEvent(new CustomEvent("gone", { detail: id }))
    return item
  }

  /** The room is there: what waits goes now, without the rest of its pause. */
  wake() {
    this.#awake = true
    this.#tries = 0
    this.#callOff()
    this.#resting = false
    this.#pump()
  }

  /** The room is away. */
  sleep() {
    this.#awake = false
  }

  async #pump() {
    const item = this.#items.find((one) => one.state === "queued")
    if (!item || !this.#awake || this.#busy || this.#resting) return
    this.#busy = true
    try {
      await this.#store.save(this.#items) // before the network: a message that left is a message we can name again
      await this.#send(item)
      this.#tries = 0
      this.#drop(item.id)
    } catch (error) {
      this.#failed(item, error)
    }
    this.#busy = false
    this.#pump()
  }

  /** @param {Item} item @param {unknown} error */
  #failed(item, error) {
    if (error instanceof Refused && !error.retry) {
      this.#tries = 0
      Object.assign(item, { state: "failed", reason: error.message })
      this.#tell(item)
      return
    }
    const pause = Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** this.#tries) * (0.5 + this.#clock.random() / 2)
    const asked = error instanceof Refused ? error.retryAfterMs : undefined
    this.#tries += 1
    this.#resting = true
    this.#callOff = this.#clock.later(asked ?? pause, () => {
      this.#resting = false
      this.#pump()
    })
  }

  /** @param {string} id */
  #drop(id) {
    this.#items = this.#items.filter((item) => item.id !== id)
    this.#store.save(this.#items)
  }

  /** @param {Item} item */
  #tell(item) {
    this.dispatchEvent(new CustomEvent("change", { detail: { ...item } }))
  }
}

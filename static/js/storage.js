// What this browser remembers by itself; where it may not remember, for as long as the page is open.

/** @import { Clock } from "./clock.js" */
/** @typedef {{ label: string, name: string, at: number }} Visit */
/** @typedef {{ edit?: number, text?: string, reply_to?: number, words: string }} Mode what the words are for, when it is not simply the next message; `text` is what is edited */
/** @typedef {{ text: string, mode?: Mode | null, aside?: string }} Draft `aside` is what was being written when something else was edited */

const PREFIX = "confab:"
const ROOMS_KEY = "rooms"
const MOST_ROOMS = 30
const REST_MS = 300

export class Storage {
  /** @type {Map<string, string>} */
  #memory = new Map()
  #area

  /** @param {() => Pick<globalThis.Storage, "getItem" | "setItem">} area merely naming localStorage can throw */
  constructor(area = () => globalThis.localStorage) {
    this.#area = area
  }

  /** @param {string} key @returns {any} what was kept, or null */
  get(key) {
    try {
      return JSON.parse(this.#memory.get(key) ?? this.#area().getItem(PREFIX + key) ?? "null")
    } catch {
      return null
    }
  }

  /** @param {string} key @param {unknown} value */
  set(key, value) {
    const text = JSON.stringify(value)
    try {
      this.#area().setItem(PREFIX + key, text)
      this.#memory.delete(key)
    } catch {
      this.#memory.set(key, text)
    }
  }
}
/** The rooms it has visited, newest first; nobody else is told. */
export class RecentRooms {
  #storage

  /** @param {Storage} storage */
  constructor(storage) {
    this.#storage = storage
  }

  /** @returns {Visit[]} */
  all() {
    const kept = this.#storage.get(ROOMS_KEY)
    return Array.isArray(kept) ? kept.filter((visit) => typeof visit?.label === "string") : []
  }

  #without = (/** @type {string} */ label) => this.all().filter((visit) => visit.label !== label)
  remember = (/** @type {Visit} */ visit) => this.#storage.set(ROOMS_KEY, [visit, ...this.#without(visit.label)].slice(0, MOST_ROOMS))
  forget = (/** @type {string} */ label) => this.#storage.set(ROOMS_KEY, this.#without(label))
}

/** What is written and not yet sent in a room. */
export class Drafts {
  #key
  #parts
  /** @type {Draft | null} */ #unkept = null

  /** @param {string} label @param {{ storage: Storage, clock: Clock }} parts */
  constructor(label, parts) {
    this.#key = `draft:${label}`
    this.#parts = parts
    addEventListener("pagehide", () => this.write())
  }

  read = () => /** @type {Draft} */ ({ text: "", ...this.#parts.storage.get(this.#key) })

  /** In a moment, or when the page goes. @param {Draft} draft */
  keep(draft) {
    if (!this.#unkept) this.#parts.clock.later(REST_MS, () => this.write())
    this.#unkept = draft
  }

  write() {
    if (this.#unkept) this.#parts.storage.set(this.#key, this.#unkept)
    this.#unkept = null
  }
}

/** The people it does not want to read in a room; nobody is told. Dispatches `change`. */
export class Ignored extends EventTarget {
  #key
  #storage
  has = (/** @type {string} */ mark) => Object.hasOwn(this.all, mark)

  /** @param {string} label @param {Storage} storage */
  constructor(label, storage) {
    super()
    this.#key = `ignored:${label}`
    this.#storage = storage
  }

  /** By mark, the name they had. @returns {Record<string, string>} */
  get all() {
    return this.#storage.get(this.#key) ?? {}
  }

  /** Somebody who was read is ignored, and the other way round. @param {string} mark @param {string} name */
  turn(mark, name) {
    const { [mark]: ignored, ...others } = this.all
    this.#storage.set(this.#key, ignored === undefined ? { ...others, [mark]: name } : others)
    this.dispatchEvent(new Event("change"))
  }
}

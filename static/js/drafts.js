// What is written and not yet sent in a room, kept over a reload.

/** @import { Clock } from "./clock.js" */
/** @import { Storage } from "./storage.js" */
/** @typedef {{ edit?: number, text?: string, reply_to?: number, words: string }} Mode what the words are for, when it is not simply the next message; `text` is what is edited */
/** @typedef {{ text: string, mode?: Mode | null, aside?: string }} Draft `aside` is what was being written when something else was edited */

const REST_MS = 300

export class Drafts {
  #key
  #storage
  #clock
  /** @type {Draft | null} */ #unkept = null

  /** @param {string} label @param {{ storage: Storage, clock: Clock }} parts */
  constructor(label, { storage, clock }) {
    this.#key = `draft:${label}`
    this.#storage = storage
    this.#clock = clock
    addEventListener("pagehide", () => this.#write())
  }

  /** @returns {Draft} */
  read() {
    const kept = this.#storage.get(this.#key)
    return typeof kept?.text === "string" ? kept : { text: "" }
  }

  /** In a moment, or when the page goes. @param {Draft} draft */
  keep(draft) {
    if (!this.#unkept) this.#clock.later(REST_MS, () => this.#write())
    this.#unkept = draft
  }

  /** What was written has been sent: at once, or a reload would offer it again. @param {Draft} draft */
  replace(draft) {
    this.#unkept = draft
    this.#write()
  }

  #write() {
    if (this.#unkept) this.#storage.set(this.#key, this.#unkept)
    this.#unkept = null
  }
}

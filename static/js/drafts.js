// What is written and not yet sent in a room, kept over a reload.

/** @import { Clock } from "./clock.js" */
/** @import { Storage } from "./storage.js" */
/** @typedef {{ edit?: number, text?: string, reply_to?: number, words: string }} Mode what the words are for, when it is not simply the next message; `text` is what is edited */
/** @typedef {{ text: string, mode?: Mode | null, aside?: string }} Draft `aside` is what was being written when something else was edited */

const REST_MS = 300

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

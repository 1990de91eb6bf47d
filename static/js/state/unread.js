// Which messages this person has not read yet: where they begin, and how many there are.

/** @import { Clock } from "../lib/clock.js" */
/** @import { Row } from "../wire.js" */
/** @import { Preferences } from "./preferences.js" */

/**
 * The divider between the messages that were read and the unread ones.
 *
 * @typedef {object} UnreadDivider
 * @property {number} after the seq of the last message above it
 * @property {string} text
 */

const READ_DELAY_MS = 1000
const DIVIDER_TEXT = "New"

/**
 * Dispatches `divider` when the divider moves, appears or disappears, and `count` when the number
 * of unread messages changes.
 */
export class Unread extends EventTarget {
  /** @type {UnreadDivider | null} */
  divider = null
  count = 0
  #storageKey
  #preferences
  #clock
  #isReading
  /** The last message of the room, whoever wrote it. */
  #lastSeq = 0
  /** @type {(() => void) | null} */
  #cancelReadTimer = null

  /**
   * @param {object} dependencies
   * @param {string} dependencies.label
   * @param {Preferences} dependencies.preferences
   * @param {Clock} dependencies.clock
   * @param {() => boolean} dependencies.isReading whether the page is visible, focused and at its
   *   end
   */
  constructor({ label, preferences, clock, isReading }) {
    super()
    this.#storageKey = `read:${label}`
    this.#preferences = preferences
    this.#clock = clock
    this.#isReading = isReading
  }

  /**
   * Finds the messages that have arrived since the last visit.
   *
   * @param {Row[]} rows
   * @param {(row: Row) => boolean} isSkipped whether a message never counts as unread
   */
  open(rows, isSkipped) {
    this.#lastSeq = rows.at(-1)?.seq ?? 0
    const lastRead = this.#preferences.get(this.#storageKey)
    if (!Number.isFinite(lastRead)) {
      this.#markAllRead() // a first visit: nothing is unread
      return
    }
    const unread = rows.filter((row) => row.seq > lastRead && !isSkipped(row))
    if (unread.length > 0) {
      const isLastReadLoaded = rows[0].seq <= lastRead
      const after = isLastReadLoaded ? unread[0].seq - 1 : lastRead
      this.#setDivider({ after, text: DIVIDER_TEXT })
    }
    this.#setCount(unread.length)
    this.updateReading()
  }

  /**
   * Messages were missed while there was no connection; the server has counted them.
   *
   * @param {UnreadDivider} divider
   * @param {number} count
   */
  addMissed(divider, count) {
    this.#setDivider(divider)
    this.#setCount(count)
    this.updateReading()
  }

  /**
   * @param {Row[]} rows new messages of other people
   * @param {number} lastSeq the last message of the room, whoever wrote it
   */
  addArrived(rows, lastSeq) {
    this.#lastSeq = Math.max(this.#lastSeq, lastSeq)
    if (rows.length === 0 || this.#isReading()) {
      this.updateReading()
      return
    }
    if (this.count === 0) this.#setDivider({ after: rows[0].seq - 1, text: DIVIDER_TEXT })
    this.#setCount(this.count + rows.length)
  }

  /**
   * Call it when the result of `isReading` may have changed. Reading for a second marks all read.
   */
  updateReading() {
    if (!this.#isReading()) {
      this.#cancelReadTimer?.()
      this.#cancelReadTimer = null
      return
    }
    this.#cancelReadTimer ??= this.#clock.schedule(READ_DELAY_MS, () => {
      this.#cancelReadTimer = null
      if (this.#isReading()) this.#markAllRead()
    })
  }

  /** The page is being closed: what is visible now counts as read. */
  close() {
    if (this.#isReading()) this.#markAllRead()
  }

  clearDivider() {
    this.#setDivider(null)
  }

  #markAllRead() {
    // Another tab may have read further.
    const lastRead = Number(this.#preferences.get(this.#storageKey)) || 0
    this.#preferences.set(this.#storageKey, Math.max(this.#lastSeq, lastRead))
    this.#setCount(0)
  }

  /** @param {UnreadDivider | null} divider */
  #setDivider(divider) {
    this.divider = divider
    this.dispatchEvent(new Event("divider"))
  }

  /** @param {number} count */
  #setCount(count) {
    this.count = count
    this.dispatchEvent(new Event("count"))
  }
}

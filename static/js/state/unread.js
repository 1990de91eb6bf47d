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

/**
 * Where the unread messages begin. Stored, until the divider was on screen or dismissed.
 *
 * @typedef {object} UnreadPosition
 * @property {number} after the seq of the last message that was read
 * @property {number} since when the person last read, in milliseconds since 1970; 0 if not known
 */

/**
 * How far this person has read. Stored; earlier releases stored `seq` alone.
 *
 * @typedef {object} ReadPosition
 * @property {number} seq
 * @property {number} at when, in milliseconds since 1970; 0 if not known
 */

/**
 * What is known about the unread messages.
 *
 * @typedef {object} UnreadSummary
 * @property {number} count
 * @property {boolean} isExact false: there are at most `count`
 * @property {number} mentionCount
 * @property {boolean} areMentionsComplete false: messages that are not loaded may mention the
 *   reader too
 * @property {number} since as in UnreadPosition
 */

/**
 * The answer of the server to how many messages are newer than `after`.
 *
 * @typedef {object} MissedMessages
 * @property {number} after
 * @property {number} missed
 * @property {Row[]} messages some of them
 */

const READ_DELAY_MS = 1000
const DIVIDER_TEXT = "New"
/** What is known of a message after the unread position. */
const MESSAGE = "message"
const MENTION = "mention"
const NOT_COUNTED = "not counted"

/**
 * Two things are remembered for each room: how far this person has read, which the title of every
 * tab follows, and where the unread messages begin, which stays until that place was on screen.
 *
 * Dispatches `divider` when the divider moves, appears or disappears, `count` when the number in
 * the title changes, and `summary` when the unread position or what is known about it changes.
 */
export class Unread extends EventTarget {
  /** @type {UnreadDivider | null} */
  divider = null
  /** The number in the title: messages that came since the person last looked. */
  count = 0
  /** @type {UnreadPosition | null} */
  position = null
  #readKey
  #positionKey
  #preferences
  #clock
  #isReading
  #isDividerVisible
  #isMention
  #isSkipped
  #isIgnored
  /** The last message of the room, whoever wrote it. */
  #lastSeq = 0
  /** @type {number[]} messages of others that came since the person last looked */
  #newSeqs = []
  /**
   * What is known of the messages after the position, and the mark of their authors.
   *
   * @type {Map<number, { kind: string, mark: string }>} by seq
   */
  #known = new Map()
  /** From this message on, all are known. */
  #knownFrom = Infinity
  /**
   * The number of messages between the position and `#knownFrom` that are not known; null as long
   * as the server has not been asked.
   *
   * @type {number | null}
   */
  #unknownCount = null
  #wasReading = false
  /** @type {(() => void) | null} */
  #cancelReadTimer = null
  /** @type {(() => void) | null} */
  #cancelDividerTimer = null

  /**
   * @param {object} dependencies
   * @param {string} dependencies.label
   * @param {Preferences} dependencies.preferences
   * @param {Clock} dependencies.clock
   * @param {() => boolean} dependencies.isReading whether the page is visible, focused and at its
   *   end
   * @param {() => boolean} dependencies.isDividerVisible whether the person sees the divider
   * @param {(row: Row) => boolean} dependencies.isMention whether a message is addressed to the
   *   reader
   * @param {(row: Row) => boolean} dependencies.isSkipped whether a message never counts as unread
   * @param {(mark: string) => boolean} dependencies.isIgnored whether this person ignores somebody
   */
  constructor(dependencies) {
    super()
    const { label, preferences, clock } = dependencies
    this.#readKey = `read:${label}`
    this.#positionKey = `unread:${label}`
    this.#preferences = preferences
    this.#clock = clock
    this.#isReading = dependencies.isReading
    this.#isDividerVisible = dependencies.isDividerVisible
    this.#isMention = dependencies.isMention
    this.#isSkipped = dependencies.isSkipped
    this.#isIgnored = dependencies.isIgnored
    preferences.onChangedElsewhere(this.#readKey, () => this.#handleReadElsewhere())
    preferences.onChangedElsewhere(this.#positionKey, (position) => {
      if (position === null && this.position) this.#dropPosition()
    })
  }

  /** @returns {UnreadSummary | null} null when no unread position is remembered */
  get summary() {
    if (!this.position) return null
    const { after, since } = this.position
    const known = [...this.#known.values()].filter(({ mark }) => !this.#isIgnored(mark))
    const mentionCount = known.filter(({ kind }) => kind === MENTION).length
    const knownCount = known.filter(({ kind }) => kind !== NOT_COUNTED).length
    // Changes of messages have numbers too, so that there may be fewer messages than numbers.
    const largestUnknownCount = Math.max(0, this.#knownFrom - 1 - after)
    const unknownCount = this.#unknownCount ?? largestUnknownCount
    return {
      count: knownCount + unknownCount,
      isExact: this.#unknownCount !== null || largestUnknownCount === 0,
      mentionCount,
      areMentionsComplete: unknownCount === 0,
      since,
    }
  }

  /** Whether this person was never in the room before, in this browser. */
  get isFirstVisit() {
    return this.#readPosition() === null
  }

  /**
   * Finds the messages that have arrived since the last visit.
   *
   * @param {Row[]} rows the newest messages
   * @param {{ hasOlder: boolean }} room
   */
  open(rows, { hasOlder }) {
    this.#lastSeq = rows.at(-1)?.seq ?? 0
    const read = this.#readPosition()
    if (!read) {
      this.#markAllRead() // a first visit: nothing is unread
      this.updateReading()
      return
    }
    const isCounted = (/** @type {Row} */ row) => {
      return !this.#isSkipped(row) && !this.#isIgnored(row.mark)
    }
    const unreadRows = rows.filter((row) => row.seq > read.seq && isCounted(row))
    if (unreadRows.length > 0) {
      const isLastReadLoaded = !hasOlder || rows[0].seq <= read.seq
      const after = isLastReadLoaded ? unreadRows[0].seq - 1 : read.seq
      this.#setPosition({ after, since: read.at })
    } else {
      this.#restorePosition()
    }
    this.learn(rows, { hasOlder })
    this.#newSeqs = unreadRows.map(({ seq }) => seq)
    this.#setCount(this.#newSeqs.length)
    this.updateReading()
  }

  /**
   * Takes into account which messages are loaded.
   *
   * @param {Row[]} rows contiguous messages
   * @param {{ hasOlder: boolean }} room
   */
  learn(rows, { hasOlder }) {
    if (!this.position || rows.length === 0) return
    this.#learnRows(rows)
    const isContiguous = rows[rows.length - 1].seq >= Math.min(this.#knownFrom, this.#lastSeq) - 1
    if (isContiguous) this.#extendKnown(hasOlder ? rows[0].seq : 0)
    this.dispatchEvent(new Event("summary"))
  }

  /**
   * The server has counted the messages after one.
   *
   * @param {MissedMessages} answer
   * @param {Row[]} rows the loaded messages
   */
  addMissed({ after, missed, messages }, rows) {
    const read = this.#readPosition() ?? { seq: 0, at: 0 }
    const position = this.position ?? this.#setPosition({ after, since: read.at })
    if (position.after !== after) {
      this.#addGap(rows)
      return
    }
    this.#learnRows([...messages, ...rows])
    if (this.#knownFrom === Infinity) this.#knownFrom = firstSeq(rows)
    this.#unknownCount = Math.max(0, missed - this.#known.size)
    if (after >= read.seq) this.#setCount(this.summary?.count ?? 0)
    this.dispatchEvent(new Event("summary"))
    this.updateReading()
  }

  /** Whether only the server can say how many messages are unread. */
  get needsCount() {
    return this.summary?.isExact === false
  }

  /**
   * @param {Row[]} rows new messages of other people
   * @param {number} lastSeq the last message of the room, whoever wrote it
   */
  addArrived(rows, lastSeq) {
    this.#lastSeq = Math.max(this.#lastSeq, lastSeq)
    const isReading = this.#isReading()
    if (rows.length > 0 && !isReading && !this.position) {
      this.#setPosition({ after: rows[0].seq - 1, since: this.#readPosition()?.at ?? 0 })
      this.#knownFrom = rows[0].seq
    }
    if (this.position) this.#learnRows(rows)
    if (rows.length > 0 && !isReading) {
      this.#newSeqs.push(...rows.map(({ seq }) => seq))
      this.#setCount(this.count + rows.length)
    }
    this.dispatchEvent(new Event("summary"))
    this.updateReading()
  }

  /**
   * A message is deleted, and no longer counts.
   *
   * @param {number} seq
   */
  forget(seq) {
    if (!this.#known.has(seq)) return
    this.#known.set(seq, { kind: NOT_COUNTED, mark: "" })
    this.dispatchEvent(new Event("summary"))
  }

  /**
   * Call it when the result of `isReading` or of `isDividerVisible` may have changed. Reading for a
   * second marks all read, and seeing the divider for a second forgets the unread position.
   */
  updateReading() {
    const isReading = this.#isReading()
    const hasStopped = this.#wasReading && !isReading
    this.#wasReading = isReading
    if (hasStopped && this.count === 0) this.#saveReadPosition() // until now
    this.#cancelReadTimer = this.#runWhile(isReading, this.#cancelReadTimer, () => {
      this.#cancelReadTimer = null
      if (this.#isReading()) this.#markAllRead()
    })
    const isSeen = this.position !== null && this.#isDividerVisible()
    this.#cancelDividerTimer = this.#runWhile(isSeen, this.#cancelDividerTimer, () => {
      this.#cancelDividerTimer = null
      if (this.position && this.#isDividerVisible()) this.#forgetPosition()
    })
  }

  /** The page is being closed: what is visible now counts as read. */
  close() {
    if (this.position && this.#isDividerVisible()) this.#forgetPosition()
    if (this.#isReading()) this.#markAllRead()
  }

  /** The person does not want to see where the unread messages begin. */
  dismiss() {
    if (this.position) this.#forgetPosition()
    this.#markAllRead()
    this.#setDivider(null)
  }

  /**
   * Starts a timer while something is the case, and cancels it otherwise.
   *
   * @param {boolean} condition
   * @param {(() => void) | null} cancel cancels the timer that is running
   * @param {() => void} work
   * @returns {(() => void) | null} cancels the timer that is running now
   */
  #runWhile(condition, cancel, work) {
    if (condition) return cancel ?? this.#clock.schedule(READ_DELAY_MS, work)
    cancel?.()
    return null
  }

  // The unread position

  /**
   * Messages before the loaded ones were missed, but are after the position.
   *
   * @param {Row[]} rows the loaded messages
   */
  #addGap(rows) {
    this.#knownFrom = firstSeq(rows)
    this.#unknownCount = null
    this.#learnRows(rows)
    this.dispatchEvent(new Event("summary"))
  }

  /**
   * @param {UnreadPosition} position
   * @returns {UnreadPosition} another one if one is stored
   */
  #setPosition(position) {
    const { after, since } = this.#storedPosition() ?? position
    this.position = { after, since }
    this.#known.clear()
    this.#knownFrom = Infinity
    this.#unknownCount = null
    this.#preferences.set(this.#positionKey, this.position)
    this.#setDivider({ after, text: DIVIDER_TEXT })
    return this.position
  }

  #restorePosition() {
    const stored = this.#storedPosition()
    if (stored) this.#setPosition(stored)
  }

  /** @returns {UnreadPosition | null} */
  #storedPosition() {
    const { after, since } = this.#preferences.get(this.#positionKey) ?? {}
    if (!Number.isFinite(after) || after >= this.#lastSeq) return null
    return { after, since: Number.isFinite(since) ? since : 0 }
  }

  #forgetPosition() {
    this.#preferences.remove(this.#positionKey)
    this.#dropPosition()
  }

  #dropPosition() {
    this.position = null
    this.#known.clear()
    this.dispatchEvent(new Event("summary"))
  }

  /** @param {Row[]} rows */
  #learnRows(rows) {
    const after = this.position?.after ?? Infinity
    for (const row of rows) {
      if (row.seq <= after) continue
      const wasKnown = this.#known.has(row.seq)
      this.#known.set(row.seq, { kind: this.#kindOf(row), mark: row.mark })
      const isFromUnknown = !wasKnown && row.seq < this.#knownFrom
      if (isFromUnknown && this.#unknownCount) this.#unknownCount -= 1
    }
  }

  /** @param {Row} row */
  #kindOf(row) {
    if (row.deleted || this.#isSkipped(row)) return NOT_COUNTED
    return this.#isMention(row) ? MENTION : MESSAGE
  }

  /** @param {number} seq from which on all messages are known */
  #extendKnown(seq) {
    this.#knownFrom = Math.min(this.#knownFrom, seq)
    if (this.#knownFrom <= (this.position?.after ?? 0) + 1) this.#unknownCount = 0
  }

  // What was read

  /** @returns {ReadPosition | null} */
  #readPosition() {
    const stored = this.#preferences.get(this.#readKey)
    const { seq, at = 0 } = Number.isFinite(stored) ? { seq: stored } : (stored ?? {})
    return Number.isFinite(seq) ? { seq, at: Number.isFinite(at) ? at : 0 } : null
  }

  #markAllRead() {
    this.#saveReadPosition()
    // What another tab, in the background, takes for unread was read here.
    if (!this.position) this.#preferences.remove(this.#positionKey)
    this.#newSeqs = []
    this.#setCount(0)
  }

  #saveReadPosition() {
    const lastRead = this.#readPosition()?.seq ?? 0 // another tab may have read further
    const seq = Math.max(this.#lastSeq, lastRead)
    this.#preferences.set(this.#readKey, { seq, at: this.#clock.now() })
  }

  #handleReadElsewhere() {
    const seq = this.#readPosition()?.seq ?? 0
    this.#newSeqs = this.#newSeqs.filter((newSeq) => newSeq > seq)
    this.#setCount(this.#newSeqs.length)
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

/** @param {Row[]} rows */
function firstSeq(rows) {
  return rows[0]?.seq ?? Infinity
}

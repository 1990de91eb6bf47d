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
 * @property {string} [epoch] of the history; undefined if not known
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
/** Of so many messages it is remembered which they are; of earlier ones, only their number. */
const MAX_REMEMBERED = 10_000
const REMEMBERED_MARGIN = 1000 // so many more are remembered before some are dropped
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
  #shownKey
  #preferences
  #clock
  #isReading
  #isDividerVisible
  #isMention
  #isSkipped
  #isIgnored
  /** The last message of the room, whoever wrote it. */
  #lastSeq = 0
  /** Of the history when the page was opened. */
  #epoch = ""
  /**
   * The authors of the messages of others that came since the person last looked.
   *
   * @type {Map<number, string>} marks by seq
   */
  #newMarks = new Map()
  /** The number of further messages that came since then. */
  #otherNewCount = 0
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
    this.#shownKey = `shown:${label}` // of Notifications
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
    let knownCount = 0
    let mentionCount = 0
    for (const message of this.#known.values()) {
      if (!this.#isCounted(message)) continue
      knownCount += 1
      if (message.kind === MENTION) mentionCount += 1
    }
    return {
      count: knownCount + this.#largestUnknownCount,
      isExact: !this.needsCount,
      mentionCount,
      areMentionsComplete: !this.isIncomplete,
      since: this.position.since,
    }
  }

  /** Whether there are unread messages of which only the number is known, or not even that. */
  get isIncomplete() {
    return this.position !== null && this.#largestUnknownCount > 0
  }

  /** Whether only the server can say how many messages are unread. */
  get needsCount() {
    return this.isIncomplete && this.#unknownCount === null
  }

  /** The last message that this person has read, in any tab; 0 if there is none. */
  get readSeq() {
    return this.#readPosition()?.seq ?? 0
  }

  /** Whether this person was never in the room before, in this browser. */
  get isFirstVisit() {
    return this.#readPosition() === null
  }

  /**
   * Finds the messages that have arrived since the last visit.
   *
   * @param {Row[]} rows the newest messages
   * @param {{ hasOlder: boolean, applied: number, epoch: string }} room
   */
  open(rows, { hasOlder, applied, epoch }) {
    this.#lastSeq = lastSeqOf(rows)
    this.#epoch = epoch
    this.#forgetOtherHistory(applied)
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
    this.#addNew(unreadRows)
    this.updateReading()
  }

  /**
   * Call it when the messages were loaded anew. If the history has begun again, for example from a
   * backup, its numbers may be lower than those that were read.
   *
   * @param {{ applied: number, epoch: string, lastSeq: number }} room
   */
  startOver({ applied, epoch, lastSeq }) {
    const isOpen = this.#epoch !== ""
    if (!isOpen || epoch === this.#epoch) return
    this.#epoch = epoch
    this.#lastSeq = lastSeq
    this.#forgetFrom(lastSeq + 1)
    this.#forgetOtherHistory(applied)
    const hasNoPlace = this.position !== null && this.position.after >= lastSeq
    if (hasNoPlace) {
      this.#dropPosition()
      this.#setDivider(null)
    }
    if (this.#readPosition() === null) this.#markAllRead()
    else this.#updateCount()
    this.dispatchEvent(new Event("summary"))
  }

  /** @param {number} seq the messages from this one on do not exist any more */
  #forgetFrom(seq) {
    for (const each of [...this.#known.keys(), ...this.#newMarks.keys()]) {
      if (each < seq) continue
      this.#known.delete(each)
      this.#newMarks.delete(each)
    }
    this.#knownFrom = Math.min(this.#knownFrom, seq)
    this.#otherNewCount = 0
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
   * The server has counted the messages after a position, which may have been dismissed meanwhile.
   *
   * @param {UnreadPosition} position
   * @param {Omit<MissedMessages, "after">} answer
   * @param {Row[]} rows the loaded messages
   */
  addCount(position, answer, rows) {
    if (position !== this.position) return
    this.addMissed({ ...answer, after: position.after }, rows)
  }

  /**
   * Messages were missed; the server has counted those after the last one before.
   *
   * @param {MissedMessages} answer
   * @param {Row[]} rows the loaded messages
   */
  addMissed({ after, missed, messages }, rows) {
    this.#lastSeq = Math.max(this.#lastSeq, lastSeqOf(rows))
    const read = this.#readPosition() ?? { seq: 0, at: 0 }
    const wasReadElsewhere = !this.position && read.seq >= this.#lastSeq
    if (wasReadElsewhere) return
    const position = this.position ?? this.#setPosition({ after, since: read.at })
    if (position.after !== after) {
      this.#addGap(rows)
      return
    }
    this.#learnRows([...messages, ...rows])
    if (this.#knownFrom === Infinity) this.#knownFrom = firstSeq(rows)
    this.#unknownCount = Math.max(0, missed - this.#known.size)
    if (after >= read.seq) this.#setCount(this.summary?.count ?? 0)
    this.#limitKnown()
    this.dispatchEvent(new Event("summary"))
    this.updateReading()
  }

  /**
   * Messages have arrived. A tab that was not connected for a while may get them later than another
   * one, in which they were read.
   *
   * @param {Row[]} rows new messages of other people
   * @param {number} lastSeq the last message of the room, whoever wrote it
   */
  addArrived(rows, lastSeq) {
    this.#lastSeq = Math.max(this.#lastSeq, lastSeq)
    const read = this.#readPosition() ?? { seq: 0, at: 0 }
    const unreadRows = this.#isReading() ? [] : rows.filter(({ seq }) => seq > read.seq)
    if (unreadRows.length > 0 && !this.position) {
      this.#setPosition({ after: unreadRows[0].seq - 1, since: read.at })
      this.#knownFrom = unreadRows[0].seq
    }
    if (this.position) this.#learnRows(rows)
    this.#limitKnown()
    if (unreadRows.length > 0) this.#addNew(unreadRows)
    this.dispatchEvent(new Event("summary"))
    this.updateReading()
  }

  /**
   * A message is deleted, and no longer counts.
   *
   * @param {number} seq
   */
  forget(seq) {
    if (!this.#known.has(seq) && !this.#newMarks.has(seq)) return
    this.#stopCounting(seq)
    this.dispatchEvent(new Event("summary"))
  }

  /**
   * Messages up to a number do not exist any more, and no longer count.
   *
   * @param {number} floor
   */
  forgetUpTo(floor) {
    for (const seq of [...this.#known.keys(), ...this.#newMarks.keys()]) {
      if (seq <= floor) this.#stopCounting(seq)
    }
    if (floor >= this.#lastSeq) this.#setCount(0)
    if (this.position && this.position.after < floor) this.#movePosition(floor)
    this.dispatchEvent(new Event("summary"))
  }

  /** Call it when the result of `isIgnored` may have changed. */
  updateIgnored() {
    this.#updateCount()
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

  /** @param {number} after the messages up to it do not exist any more */
  #movePosition(after) {
    if (after >= this.#lastSeq) {
      this.#forgetPosition()
      this.#setDivider(null)
      return
    }
    for (const seq of [...this.#known.keys()]) {
      if (seq <= after) this.#known.delete(seq)
    }
    this.#unknownCount = after >= this.#knownFrom - 1 ? 0 : null
    this.position = { after, since: this.position?.since ?? 0 }
    this.#preferences.set(this.#positionKey, this.position)
    this.#setDivider({ after, text: DIVIDER_TEXT })
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

  /** The number of messages that are not known, or the largest that it may be. */
  get #largestUnknownCount() {
    // Changes of messages have numbers too, so that there may be fewer messages than numbers.
    return this.#unknownCount ?? Math.max(0, this.#knownFrom - 1 - (this.position?.after ?? 0))
  }

  /** @param {{ kind: string, mark: string }} message */
  #isCounted({ kind, mark }) {
    return kind !== NOT_COUNTED && !this.#isIgnored(mark)
  }

  /** @param {number} seq of a deleted message */
  #stopCounting(seq) {
    const known = this.#known.get(seq)
    const isNew = this.#newMarks.delete(seq)
    const isCounted = known !== undefined && this.#isCounted(known)
    if (known) this.#known.set(seq, { kind: NOT_COUNTED, mark: "" })
    const isOtherNew = !isNew && isCounted && seq > (this.#readPosition()?.seq ?? 0)
    if (isOtherNew) this.#otherNewCount = Math.max(0, this.#otherNewCount - 1)
    if (isNew || isOtherNew) this.#updateCount()
  }

  /** Keeps what is remembered of the newest messages, and of earlier ones only their number. */
  #limitKnown() {
    if (this.#known.size <= MAX_REMEMBERED + REMEMBERED_MARGIN) return
    if (!this.needsCount) this.#unknownCount ??= 0
    const seqs = [...this.#known.keys()].sort((a, b) => a - b)
    for (const seq of seqs.slice(0, -MAX_REMEMBERED)) {
      const isCounted = this.#known.get(seq)?.kind !== NOT_COUNTED
      if (isCounted && this.#unknownCount !== null) this.#unknownCount += 1
      this.#known.delete(seq)
    }
    this.#knownFrom = Math.max(this.#knownFrom, seqs[seqs.length - MAX_REMEMBERED])
  }

  /** @param {Row[]} rows */
  #learnRows(rows) {
    const after = this.position?.after ?? Infinity
    for (const row of rows) {
      if (row.seq <= after) continue
      if (row.deleted) this.#stopCounting(row.seq)
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
    const { seq, at = 0, epoch } = Number.isFinite(stored) ? { seq: stored } : (stored ?? {})
    return Number.isFinite(seq) ? { seq, at: Number.isFinite(at) ? at : 0, epoch } : null
  }

  /**
   * Forgets what was read of another room that had the same label: its numbers say nothing here.
   * Where only the history was cleared, the numbers go on.
   *
   * @param {number} applied the last change of the room
   */
  #forgetOtherHistory(applied) {
    const { seq = 0, epoch } = this.#readPosition() ?? {}
    const isOther = epoch !== undefined && epoch !== this.#epoch && seq > applied
    if (!isOther) return
    for (const key of [this.#readKey, this.#positionKey, this.#shownKey]) {
      this.#preferences.remove(key)
    }
  }

  #markAllRead() {
    this.#saveReadPosition()
    // What another tab, in the background, takes for unread was read here.
    if (!this.position) this.#preferences.remove(this.#positionKey)
    this.#newMarks.clear()
    this.#setCount(0)
  }

  #saveReadPosition() {
    const { seq: lastRead = 0, epoch = this.#epoch } = this.#readPosition() ?? {}
    const isSameHistory = epoch === this.#epoch
    // Another tab may have read further.
    const seq = isSameHistory ? Math.max(this.#lastSeq, lastRead) : this.#lastSeq
    this.#preferences.set(this.#readKey, { seq, at: this.#clock.now(), epoch: this.#epoch })
  }

  #handleReadElsewhere() {
    const seq = this.#readPosition()?.seq ?? 0
    for (const newSeq of this.#newMarks.keys()) {
      if (newSeq <= seq) this.#newMarks.delete(newSeq)
    }
    if (seq >= this.#lastSeq) this.#otherNewCount = 0
    this.#updateCount()
  }

  /** @param {Row[]} rows messages of others */
  #addNew(rows) {
    for (const { seq, mark } of rows) this.#newMarks.set(seq, mark)
    const surplus = this.#newMarks.size - MAX_REMEMBERED
    const dropped = [...this.#newMarks.keys()].slice(0, Math.max(0, surplus))
    for (const seq of dropped) this.#newMarks.delete(seq)
    this.#otherNewCount += dropped.length
    this.#updateCount()
  }

  /** @param {UnreadDivider | null} divider */
  #setDivider(divider) {
    this.divider = divider
    this.dispatchEvent(new Event("divider"))
  }

  get #countedNew() {
    let count = 0
    for (const mark of this.#newMarks.values()) {
      if (!this.#isIgnored(mark)) count += 1
    }
    return count
  }

  /** @param {number} count */
  #setCount(count) {
    this.#otherNewCount = Math.max(0, count - this.#countedNew)
    this.#updateCount()
  }

  #updateCount() {
    this.count = this.#countedNew + this.#otherNewCount
    this.dispatchEvent(new Event("count"))
  }
}

/** @param {Row[]} rows */
function lastSeqOf(rows) {
  return rows.at(-1)?.seq ?? 0
}

/** @param {Row[]} rows */
function firstSeq(rows) {
  return rows[0]?.seq ?? Infinity
}

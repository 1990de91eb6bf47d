// The loaded messages of a room, in order and each once, together with the own messages and changes
// that are not stored yet.

import { PendingItems } from "./pending_items.js"

/**
 * @import { Absence, Changes, HistoryRequest, Item, Joined, Page, Row, Stored } from "../wire.js"
 */

/**
 * One thing to redraw, in the order of the updates:
 * - `row`: a stored message; `pendingId` is the id of the own message that has become this row
 * - `item`: an own message that is not stored yet
 * - `removed`: the seq of a message, or the id of an own message that is not stored yet
 *
 * @typedef {{ row: Row, pendingId?: string } | { item: Item } | { removed: number | string }}
 *   TimelineUpdate
 */

const MAX_ROWS = 300
const TRIM_MARGIN_ROWS = 20 // so many more are loaded before rows are removed
const MAX_SEEN = 11_000 // as many as Unread remembers
/** With the rows that are not shown, such as those of ignored people. */
const MAX_ROWS_WITH_HIDDEN = 2000

/**
 * The timeline is a window on the room's messages: it usually ends at the newest message, or before
 * it while the reader is far back.
 *
 * `applied` is the change up to which it is complete. A live event at or below it is dropped, the
 * next one is applied, and one beyond that is held until the gap is filled. A row is replaced only
 * by a row with a higher `rev`. docs/protocol.md explains these rules.
 *
 * Dispatches `reset` when all rows are new, `change` with an array of TimelineUpdate otherwise,
 * `arrived` with the rows that are newer than all before, `deleted` with the seqs of deleted
 * messages, whether they are in the window or not, `floor` with a number up to which no messages
 * exist any more (those that this page has seen are dispatched as `deleted` too),
 * `title` when the name of the room has changed, `missingquote` when a message replies to one that
 * is not loaded, and `absence` when too many messages were missed to load them all.
 */
export class Timeline extends EventTarget {
  /** The timeline is complete up to this change. */
  applied = 0
  /** Identifies the history of the room: another one was restored from a backup, for example. */
  epoch = ""
  /** The display name of the room. */
  name = ""
  /** The newest known message, loaded or not. */
  lastSeq = 0
  /** Whether the room has messages before the loaded ones. */
  hasOlder = false
  /** Whether the room has messages after the loaded ones. */
  hasNewer = false
  /**
   * After a long absence: how many messages are new, and which was the last one before.
   *
   * @type {Absence | null}
   */
  absence = null
  #isFollowing
  #isHidden
  /** Messages up to this seq do not exist any more: they have expired or were cleared. */
  #floor = 0
  /** @type {Set<number>} the seqs of the messages that this page had last and that may exist */
  #seenSeqs = new Set()
  /** Rows below this seq are not loaded. */
  #firstSeq = 0
  /** Rows above this seq are not loaded. */
  #endSeq = Infinity
  /** The highest known change. */
  #head = 0
  /** @type {Map<number, Row>} by seq */
  #rows = new Map()
  /** @type {Map<string, number>} the seq of each loaded row that has an id, by id */
  #seqs = new Map()
  /** Own messages and changes without a row. */
  #pending = new PendingItems()
  /**
   * @type {Map<number, Row | undefined>} by seq: replied-to rows that are not loaded; undefined if
   *   there is none
   */
  #quotes = new Map()
  /** @type {Map<number, Row>} live events after a gap, by rev */
  #held = new Map()
  /** @type {Map<number, Row>} by seq: rows outside the window that came during a history request */
  #deferred = new Map()
  /** @type {Set<HistoryRequest>} */
  #openRequests = new Set()
  /** @type {TimelineUpdate[]} updates that are not dispatched yet */
  #updates = []
  /** @type {Row[]} new rows that are not dispatched yet */
  #arrived = []
  /** @type {Set<number>} the seqs of deleted messages that are not dispatched yet */
  #deletedSeqs = new Set()

  /**
   * @param {() => boolean} [isFollowing] whether the reader is at the end of the messages
   * @param {(row: Row) => boolean} [isHidden] whether a row is not shown
   */
  constructor(isFollowing = () => true, isHidden = () => false) {
    super()
    this.#isFollowing = isFollowing
    this.#isHidden = isHidden
  }

  /** The loaded messages in order, with own changes that are not stored yet. */
  get rows() {
    return this.#sortedRows().map((row) => this.#pending.applyChanges(row))
  }

  /** Own messages without a row. They belong after the newest message. */
  get pendingMessages() {
    return this.hasNewer ? [] : this.#pending.messages
  }

  /** Whether the room has changes that are not applied yet. */
  get isBehind() {
    return this.#held.size > 0 || this.#head > this.applied
  }

  /** The seq of a message that is replied to and not known yet, or undefined. */
  get missingQuote() {
    for (const { reply_to = 0 } of this.#rows.values()) {
      const exists = reply_to > this.#floor
      if (exists && !this.#rows.has(reply_to) && !this.#quotes.has(reply_to)) return reply_to
    }
    return undefined
  }

  /**
   * A message that is loaded or was quoted.
   *
   * @param {number} seq
   */
  rowAt(seq) {
    const row = this.#rows.get(seq) ?? this.#quotes.get(seq)
    return row && this.#pending.applyChanges(row)
  }

  /**
   * The loaded row of an own message.
   *
   * @param {string} id
   */
  rowById(id) {
    const seq = this.#seqs.get(id)
    return seq === undefined ? undefined : this.#rows.get(seq)
  }

  // Changes from the server

  /**
   * Starts over with the newest messages of the room.
   *
   * @param {Joined} page
   * @param {Absence | null} absence
   */
  load({ messages, head, upto, epoch, name, floor = 0, older = false }, absence = null) {
    this.#held.clear()
    this.#deferred.clear()
    this.#openRequests.clear()
    this.#quotes.clear()
    this.applied = upto
    this.epoch = epoch
    this.absence = absence
    this.#head = Math.max(head, upto)
    this.lastSeq = 0
    const isFloorRaised = floor > this.#floor
    this.#setFloor(floor)
    this.#replaceRows(messages, { hasOlder: older, hasNewer: false })
    if (isFloorRaised) this.#dispatchFloor()
    this.#arrived = []
    if (absence) this.dispatchEvent(new Event("absence"))
    this.#setName(name)
  }

  /**
   * Applies a live event, or holds it when changes before it are missing.
   *
   * @param {Row} row
   */
  applyLive(row) {
    if (row.rev <= this.applied) return
    this.#held.set(row.rev, row)
    this.#applyHeld()
    this.#trim()
    this.#dispatchUpdates()
  }

  /**
   * Merges the answer to a catch-up. Its rows need not be contiguous: a change that was overwritten
   * by a later one is left out.
   *
   * @param {Changes} changes
   */
  merge({ messages, upto, head, floor }) {
    for (const row of messages) this.#putRow(row)
    this.applied = Math.max(this.applied, upto)
    this.observeHead(head)
    this.#applyHeld()
    this.#trim()
    this.#dispatchUpdates()
    this.raiseFloor(floor)
  }

  /**
   * The room is known to have come this far.
   *
   * @param {number} head
   */
  observeHead(head) {
    this.#head = Math.max(this.#head, head)
  }

  /**
   * Removes the messages that have expired or were cleared.
   *
   * @param {number} [floor] up to this number, no messages exist any more
   */
  raiseFloor(floor = 0) {
    if (floor <= this.#floor) return
    this.#setFloor(floor)
    for (const seq of [...this.#rows.keys()]) {
      if (seq > floor) continue
      this.#removeRow(seq)
      this.#deletedSeqs.add(seq)
    }
    if (this.#firstSeq <= floor + 1) {
      this.#firstSeq = 0
      this.hasOlder = false
    }
    if (this.hasNewer) this.#endSeq = Math.max(this.#endSeq, floor)
    this.#redrawRepliesUpTo(floor)
    this.#dispatchUpdates()
    this.#dispatchFloor()
  }

  /**
   * Forgets the messages that do not exist any more, except their loaded rows.
   *
   * @param {number} floor
   */
  #setFloor(floor) {
    this.#floor = floor
    for (const messages of [this.#quotes, this.#deferred]) {
      for (const seq of [...messages.keys()]) {
        if (seq <= floor) messages.delete(seq)
      }
    }
    for (const seq of this.#seenSeqs) {
      if (seq > floor) continue
      this.#seenSeqs.delete(seq)
      this.#deletedSeqs.add(seq)
    }
  }

  #dispatchFloor() {
    this.dispatchEvent(new CustomEvent("floor", { detail: this.#floor }))
  }

  /**
   * Adds a message that is replied to and not loaded.
   *
   * @param {number} seq
   * @param {Row} [row] undefined if there is no such message
   */
  addQuote(seq, row) {
    const hasExpired = seq <= this.#floor
    if (!hasExpired) this.#quotes.set(seq, row)
    if (row && !hasExpired) this.#rememberSeen(seq)
    if (row?.deleted || hasExpired) this.#deletedSeqs.add(seq)
    this.#redraw(seq)
    this.#dispatchUpdates()
  }

  // History

  /** Begins a request for the rows before the first loaded one. */
  requestEarlier() {
    return this.#openRequest({ before: this.#firstSeq })
  }

  /** Begins a request for the rows after the window. */
  requestLater() {
    return this.#openRequest({ after: this.#endSeq })
  }

  /**
   * Begins a request for another window.
   *
   * @param {number} [seq] undefined: the newest messages
   */
  requestAround(seq) {
    return this.#openRequest(seq === undefined ? {} : { around: seq })
  }

  /**
   * Ends a request for earlier rows.
   *
   * @param {HistoryRequest} request
   * @param {Page | null} page null when there was no answer
   */
  addEarlier(request, page) {
    // A page from before the timeline started over would leave a gap in it.
    const isCurrent = this.#closeRequest(request) && request.before === this.#firstSeq
    if (page && isCurrent && page.epoch === this.epoch) {
      this.hasOlder = page.older
      this.#firstSeq = page.older ? (page.messages[0]?.seq ?? this.#firstSeq) : 0
      for (const row of page.messages) this.#putRow(row)
      this.#trim("newest")
    }
    this.#applyDeferred()
    this.#dispatchUpdates()
  }

  /**
   * Ends a request for later rows.
   *
   * @param {HistoryRequest} request
   * @param {Page | null} page null when there was no answer
   */
  addLater(request, page) {
    const isCurrent = this.#closeRequest(request) && request.after === this.#endSeq
    if (page && isCurrent && page.epoch === this.epoch) {
      this.#setEnd(page.newer, page.messages.at(-1)?.seq ?? this.#endSeq)
      for (const row of page.messages) this.#putRow(row)
      this.#trim("oldest")
    }
    this.#applyDeferred()
    this.#dispatchUpdates()
    if (this.hasNewer) return
    for (const item of this.pendingMessages) this.addPending(item)
  }

  /**
   * Ends a request for another window.
   *
   * @param {HistoryRequest} request
   * @param {Page | null} page null when there was no answer
   */
  replaceWindow(request, page) {
    const isOpen = this.#closeRequest(request)
    if (!isOpen || !page || page.epoch !== this.epoch) return
    const known = [...this.#rows.values(), ...this.#deferred.values()]
    const newerThanPage = known.filter(({ rev }) => rev > page.head)
    this.#deferred.clear()
    const rows = [...page.messages, ...newerThanPage]
    this.#replaceRows(page.messages, { hasOlder: page.older, hasNewer: page.newer, rows })
    this.#dispatchUpdates()
  }

  // Own messages and changes

  /**
   * Shows an own message at the end until its row comes, or an own change at once.
   *
   * @param {Item} item
   */
  addPending(item) {
    if (item.event) {
      this.#addPendingChange(item)
      return
    }
    if (this.#seqs.has(item.id)) return
    this.#pending.addMessage(item)
    if (!this.hasNewer) this.#updates.push({ item })
    this.#dispatchUpdates()
  }

  /**
   * An own message or change will not be sent.
   *
   * @param {string} id
   */
  removePending(id) {
    if (this.#pending.removeMessage(id)) this.#updates.push({ removed: id })
    const change = this.#pending.removeChange(id)
    if (change) this.#redraw(change.seq)
    this.#dispatchUpdates()
  }

  /**
   * The server has stored an own message; its event may come later.
   *
   * @param {Row} row
   * @param {Stored} answer
   */
  confirmMessage(row, { head, rev, seq }) {
    const id = row.id ?? ""
    this.observeHead(head)
    const isUnchanged = rev === seq // otherwise the text that we sent is outdated
    if (isUnchanged) this.#putRow(row)
    this.#pending.confirmMessage(id, rev)
    this.#dispatchUpdates()
  }

  /**
   * The server has stored an own change; it stays pending until its event comes.
   *
   * @param {string} id
   * @param {Stored} answer
   */
  confirmChange(id, { rev, head }) {
    this.#pending.confirmChange(id, rev)
    this.observeHead(head)
    this.#dispatchUpdates()
  }

  /** @param {Item} change */
  #addPendingChange(change) {
    this.#pending.addChange(change)
    if (change.event === "delete" && change.seq) this.#deletedSeqs.add(change.seq)
    this.#redraw(change.seq)
    this.#dispatchUpdates()
  }

  /** Drops own messages and changes whose rows are applied. */
  #dropApplied() {
    for (const id of this.#pending.removeAppliedMessages(this.applied)) {
      this.#updates.push({ removed: id })
    }
    for (const { seq } of this.#pending.removeAppliedChanges(this.applied)) this.#redraw(seq)
  }

  // Rows

  #sortedRows() {
    return [...this.#rows.values()].sort((a, b) => a.seq - b.seq)
  }

  /**
   * @param {Row[]} messages a page of contiguous messages
   * @param {{ hasOlder: boolean, hasNewer: boolean, rows?: Row[] }} more `rows`: the messages and
   *   newer versions of them
   */
  #replaceRows(messages, { hasOlder, hasNewer, rows = messages }) {
    this.#rows.clear()
    this.#seqs.clear()
    this.hasOlder = hasOlder
    this.#firstSeq = hasOlder ? (messages[0]?.seq ?? 0) : 0
    this.#setEnd(hasNewer, messages.at(-1)?.seq ?? Infinity)
    for (const row of rows) this.#putRow(row)
    this.#dropApplied()
    this.#updates = []
    this.dispatchEvent(new Event("reset"))
    this.#dispatchDeleted()
  }

  /** Applies held events up to the next gap, and drops those that are applied already. */
  #applyHeld() {
    for (const rev of this.#held.keys()) {
      if (rev <= this.applied) this.#held.delete(rev)
    }
    let next = this.#held.get(this.applied + 1)
    while (next) {
      this.#held.delete(next.rev)
      this.applied = next.rev
      this.#putRow(next)
      next = this.#held.get(this.applied + 1)
    }
  }

  /**
   * Remembers that this page has had a message, of the latest ones. When older ones expire, `floor`
   * is dispatched, but `deleted` only if they are loaded.
   *
   * @param {number} seq
   */
  #rememberSeen(seq) {
    this.#seenSeqs.delete(seq) // so that it is the last one
    this.#seenSeqs.add(seq)
    if (this.#seenSeqs.size <= MAX_SEEN) return
    const [oldest] = this.#seenSeqs
    this.#seenSeqs.delete(oldest)
  }

  /**
   * Takes a row, unless a newer version of it is known.
   *
   * @param {Row} row
   */
  #putRow(row) {
    if (row.seq <= this.#floor || this.#hasNewerVersion(row)) return
    this.#rememberSeen(row.seq)
    if (row.seq > this.lastSeq) this.#addArrived(row)
    if (row.deleted) this.#deletedSeqs.add(row.seq)
    const isInWindow = row.seq >= this.#firstSeq && row.seq <= this.#endSeq
    if (isInWindow) this.#insertRow(row)
    else if (this.#openRequests.size > 0) this.#deferred.set(row.seq, row)
    if (this.#quotes.has(row.seq)) this.#quotes.set(row.seq, row)
    this.#redrawReplies(row.seq)
  }

  /** @param {Row} row */
  #hasNewerVersion({ seq, rev }) {
    const known = this.#rows.get(seq) ?? this.#deferred.get(seq)
    return known !== undefined && known.rev >= rev
  }

  /** @param {Row} row */
  #insertRow(row) {
    this.#rows.set(row.seq, row)
    if (row.id === undefined) {
      this.#updates.push({ row })
      return
    }
    this.#seqs.set(row.id, row.seq)
    const wasPending = this.#pending.removeMessage(row.id)
    this.#updates.push(wasPending ? { row, pendingId: row.id } : { row })
  }

  /** @param {Row} row the newest message */
  #addArrived(row) {
    this.lastSeq = row.seq
    this.#arrived.push(row)
    if (row.kind === "title") this.#setName(row.message)
  }

  /** @param {number} seq */
  #removeRow(seq) {
    const id = this.#rows.get(seq)?.id
    if (id !== undefined) this.#seqs.delete(id)
    this.#rows.delete(seq)
    this.#updates.push({ removed: seq })
  }

  /**
   * Keeps the number of rows small enough for a phone.
   *
   * @param {"newest" | "oldest"} [end] which rows are removed: those at the end where the reader is
   *   not
   */
  #trim(end = this.#isFollowing() ? "oldest" : "newest") {
    const count = this.#rows.size + this.pendingMessages.length
    if (count <= MAX_ROWS + TRIM_MARGIN_ROWS) return
    const rows = this.#sortedRows()
    const surplus = this.#surplus(end === "oldest" ? rows : [...rows].reverse())
    if (surplus === 0) return
    const seqs = rows.map(({ seq }) => seq)
    if (end === "oldest") this.#trimOldest(seqs, surplus)
    else this.#trimNewest(seqs, surplus)
  }

  /**
   * How many of the first rows are too many.
   *
   * @param {Row[]} rows
   */
  #surplus(rows) {
    const shownRows = rows.filter((row) => !this.#isHidden(row))
    let shownCount = shownRows.length + this.pendingMessages.length
    if (shownCount <= MAX_ROWS + TRIM_MARGIN_ROWS && rows.length <= MAX_ROWS_WITH_HIDDEN) return 0
    let surplus = 0
    while (surplus < rows.length - 1) {
      if (shownCount <= MAX_ROWS && rows.length - surplus <= MAX_ROWS_WITH_HIDDEN) break
      if (!this.#isHidden(rows[surplus])) shownCount -= 1
      surplus += 1
    }
    return surplus
  }

  /**
   * @param {number[]} seqs
   * @param {number} surplus
   */
  #trimOldest(seqs, surplus) {
    for (const seq of seqs.slice(0, surplus)) this.#removeRow(seq)
    this.hasOlder = true
    this.#firstSeq = seqs[surplus]
  }

  /**
   * @param {number[]} seqs
   * @param {number} surplus
   */
  #trimNewest(seqs, surplus) {
    for (const seq of seqs.slice(-surplus)) this.#removeRow(seq)
    for (const { id } of this.#pending.messages) this.#updates.push({ removed: id })
    this.#setEnd(true, seqs[seqs.length - surplus - 1])
  }

  /**
   * @param {boolean} hasNewer
   * @param {number} lastSeq the last row of the window
   */
  #setEnd(hasNewer, lastSeq) {
    this.hasNewer = hasNewer
    this.#endSeq = hasNewer ? lastSeq : Infinity
  }

  /** @param {HistoryRequest} request */
  #openRequest(request) {
    this.#openRequests.add(request)
    return request
  }

  /**
   * @param {HistoryRequest} request
   * @returns {boolean} false when the timeline has started over since
   */
  #closeRequest(request) {
    return this.#openRequests.delete(request)
  }

  /** Rows outside the window may be inside it after a history request. */
  #applyDeferred() {
    const rows = [...this.#deferred.values()]
    this.#deferred.clear()
    for (const row of rows) this.#putRow(row)
  }

  // Updates

  /**
   * Redraws a message and its replies.
   *
   * @param {number | undefined} seq
   */
  #redraw(seq) {
    if (seq === undefined) return
    const row = this.#rows.get(seq)
    if (row) this.#updates.push({ row })
    this.#redrawReplies(seq)
  }

  /** @param {number} seq */
  #redrawReplies(seq) {
    for (const row of this.#rows.values()) {
      if (row.reply_to === seq) this.#updates.push({ row })
    }
    for (const item of this.pendingMessages) {
      if (item.reply_to === seq) this.#updates.push({ item })
    }
  }

  /** @param {number} floor */
  #redrawRepliesUpTo(floor) {
    const isAffected = (/** @type {{ reply_to?: number }} */ { reply_to = 0 }) => {
      return reply_to > 0 && reply_to <= floor
    }
    const rows = [...this.#rows.values()].filter(isAffected)
    const items = this.pendingMessages.filter(isAffected)
    this.#updates.push(...rows.map((row) => ({ row })), ...items.map((item) => ({ item })))
  }

  /** @param {string} name */
  #setName(name) {
    if (name === this.name) return
    this.name = name
    this.dispatchEvent(new Event("title"))
  }

  #dispatchUpdates() {
    this.#dropApplied()
    const updates = this.#updates.map((update) => this.#currentUpdate(update))
    const arrived = this.#arrived
    this.#updates = []
    this.#arrived = []
    if (updates.length > 0) this.dispatchEvent(new CustomEvent("change", { detail: updates }))
    this.#dispatchDeleted()
    if (this.missingQuote) this.dispatchEvent(new Event("missingquote"))
    if (arrived.length > 0) this.dispatchEvent(new CustomEvent("arrived", { detail: arrived }))
  }

  #dispatchDeleted() {
    if (this.#deletedSeqs.size === 0) return
    const seqs = [...this.#deletedSeqs]
    this.#deletedSeqs.clear()
    this.dispatchEvent(new CustomEvent("deleted", { detail: seqs }))
  }

  /** @param {TimelineUpdate} update */
  #currentUpdate(update) {
    if (!("row" in update)) return update
    return { ...update, row: this.#pending.applyChanges(update.row) }
  }
}

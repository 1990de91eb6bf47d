// What was said in the room, in order, each thing once. Knows no page and no socket.

/** @import { Away, Changes, Item, Joined, Page, Row, Stored } from "./wire.js" */

/**
 * One thing to redraw. `was` is the own message that has become this row; `fresh` rows are newer than all others.
 * @typedef {{ row: Row, was?: string, fresh: boolean } | { item: Item } | { gone: string }} Step
 */

/** Dispatches `reset` when everything is new, `change` with its steps otherwise. */
export class Timeline extends EventTarget {
  applied = 0 // complete up to this change
  epoch = ""
  older = false // there is more before the first row
  /** @type {Away | null} after a long absence: how much is new, and after which place */ away = null
  #first = 0 // rows below this place are not loaded
  #last = 0
  #head = 0 // the highest change we have heard of
  /** @type {Map<number, Row>} */ #rows = new Map() // by seq
  /** @type {Map<string, number>} */ #ids = new Map() // of the rows: their seq
  /** @type {Map<string, Item>} */ #items = new Map() // by id: own messages without a row, in the order said
  /** @type {Map<string, number>} */ #answered = new Map() // own messages the server has stored and changed since: the rev their row has at least
  /** @type {Map<number, Row>} */ #held = new Map() // by rev: live events that came too early
  /** @type {Map<number, Row>} */ #remembered = new Map() // by seq: changes below the first row, while history is asked for
  /** @type {Set<{ before: number }>} */ #asked = new Set() // history requests that are open
  /** @type {Step[]} */ #steps = []

  get rows() {
    return [...this.#rows.values()].sort((a, b) => a.seq - b.seq)
  }

  get items() {
    return [...this.#items.values()]
  }

  /** Something is missing here: an event is held, or the head we heard of is not reached. */
  get behind() {
    return this.#held.size > 0 || this.#head > this.applied
  }

  /** The row of an own message, once it is here. @param {string} id */
  find(id) {
    return this.#rows.get(this.#ids.get(id) ?? -1)
  }

  /** Starts over from the newest messages of the room. @param {Joined} page @param {Away | null} away */
  load({ messages, head, upto, epoch, older = false }, away = null) {
    for (const kept of [this.#rows, this.#ids, this.#held, this.#remembered, this.#asked]) kept.clear()
    Object.assign(this, { applied: upto, epoch, older, away })
    this.#head = Math.max(head, upto)
    this.#first = older ? (messages[0]?.seq ?? 0) : 0
    this.#last = 0
    for (const row of messages) this.#put(row)
    this.#tidy()
    this.#steps = []
    this.dispatchEvent(new Event("reset"))
  }

  /** A live event: next in line it is applied, beyond that held, below it old news. @param {Row} row */
  hear(row) {
    if (row.rev <= this.applied) return
    this.#held.set(row.rev, row)
    this.#drain()
    this.#tell()
  }

  /** Rows of an answer need not be contiguous: a number overwritten by a later change does not come again. @param {Changes} changes */
  merge({ messages, upto, head }) {
    for (const row of messages) this.#put(row)
    this.applied = Math.max(this.applied, upto)
    this.announce(head)
    this.#drain()
    this.#tell()
  }

  /** The room has come this far. @param {number} head */
  announce(head) {
    this.#head = Math.max(this.#head, head)
  }

  /** Older rows are about to be asked for, before the place it returns. */
  askEarlier() {
    const asked = { before: this.#first }
    this.#asked.add(asked)
    return asked
  }

  /** @param {{ before: number }} asked @param {Page | null} page null when there was no answer */
  earlier(asked, page) {
    // A page asked for before starting over is older than what is loaded now, and may leave a hole above it.
    if (this.#asked.delete(asked) && page && asked.before === this.#first && page.epoch === this.epoch) {
      this.older = page.older
      this.#first = page.older ? (page.messages[0]?.seq ?? asked.before) : 0
      for (const row of page.messages) this.#put(row)
    }
    const remembered = [...this.#remembered.values()]
    this.#remembered.clear()
    for (const row of remembered) this.#put(row)
    this.#tell()
  }

  /** An own message is on its way, or has failed: it stands at the end until its row is here. @param {Item} item */
  expect(item) {
    if (this.#ids.has(item.id)) return
    this.#items.set(item.id, item)
    this.#steps.push({ item })
    this.#tell()
  }

  /** An own message will not be sent. @param {string} id */
  forget(id) {
    if (this.#items.delete(id)) this.#steps.push({ gone: id })
    this.#tell()
  }

  /** The row the server has stored for an own message, known before its event is here. @param {Row} row @param {Stored} answer */
  stored(row, { head, rev, seq }) {
    const id = row.id ?? ""
    this.announce(head)
    if (rev === seq) this.#put(row) // changed since: the text we sent is not what it says now
    if (this.#items.has(id)) this.#answered.set(id, rev)
    this.#tell()
  }

  #drain() {
    for (const rev of this.#held.keys()) if (rev <= this.applied) this.#held.delete(rev)
    for (let row; (row = this.#held.get(this.applied + 1)); ) {
      this.#held.delete(row.rev)
      this.applied = row.rev
      this.#put(row)
    }
  }

  /** The row rule: only a higher rev replaces, and what is not loaded is not shown. @param {Row} row */
  #put(row) {
    const known = this.#rows.get(row.seq) ?? this.#remembered.get(row.seq)
    if (known && known.rev >= row.rev) return
    if (row.seq < this.#first) {
      if (this.#asked.size) this.#remembered.set(row.seq, row)
      return
    }
    this.#rows.set(row.seq, row)
    const was = row.id !== undefined && this.#items.delete(row.id) ? row.id : undefined
    if (row.id !== undefined) this.#ids.set(row.id, row.seq)
    this.#steps.push({ row, was, fresh: row.seq > this.#last })
    this.#last = Math.max(this.#last, row.seq)
  }

  /** An own message that is stored but has no row here, though everything up to it is: it stands further up than what is loaded. */
  #tidy() {
    for (const [id, rev] of this.#answered) {
      if (rev > this.applied && this.#items.has(id)) continue
      this.#answered.delete(id)
      if (this.#items.delete(id)) this.#steps.push({ gone: id })
    }
  }

  #tell() {
    this.#tidy()
    if (!this.#steps.length) return
    const detail = this.#steps
    this.#steps = []
    this.dispatchEvent(new CustomEvent("change", { detail }))
  }
}

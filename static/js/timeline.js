// What was said in the room, in order, each thing once: all of a window that ends at the newest message, or before it. Knows no page and no socket.

/** @import { Away, Changes, Item, Joined, Page, Question, Row, Stored } from "./wire.js" */

const MOST = 300
const LEEWAY = 20

/**
 * One thing to redraw, in this order. `was` is the own message that has become this row; `gone` a place or the id of an own message.
 * @typedef {{ row: Row, was?: string } | { item: Item } | { gone: string | number }} Step
 */

/**
 * Dispatches `reset` when everything is new, `change` with its steps otherwise, `arrived` with the rows said since, whether they are
 * in the window or not, `title` when the room has another, `quoted` when something is replied to that is not loaded,
 * `away` when it starts over after a long absence.
 */
export class Timeline extends EventTarget {
  applied = 0 // complete up to this change
  epoch = ""
  name = ""
  last = 0 // the newest place we have heard of, loaded or not
  older = false // there is more before the first row
  newer = false // there is more after the last row: what arrives is not shown until the reader is back at the newest
  /** @type {Away | null} after a long absence: how much is new, and after which place */ away = null
  #following
  #first = 0 // rows below this place are not loaded
  #end = Infinity // nor rows above this one
  /** @type {Row[]} */ #arrived = []
  #head = 0 // the highest change we have heard of
  /** @type {Map<number, Row>} */ #rows = new Map() // by seq
  /** @type {Map<string, number>} */ #ids = new Map() // of the rows: their seq
  /** @type {Map<string, Item>} */ #items = new Map() // by id: own messages without a row, in the order said
  /** @type {Map<string, number>} */ #answered = new Map() // own messages the server has stored and changed since: the rev their row has at least
  /** @type {Map<string, Item & { rev?: number }>} */ #changes = new Map() // by id: own changes that no row has yet; with `rev`, stored
  /** @type {Map<number, Row | undefined>} */ #quoted = new Map() // by seq: what is replied to and not loaded; undefined: there is none
  /** @type {Map<number, Row>} */ #held = new Map() // by rev: live events that came too early
  /** @type {Map<number, Row>} */ #remembered = new Map() // by seq: rows beyond the window, while history is asked for
  /** @type {Set<Question>} */ #asked = new Set() // history requests that are open
  /** @type {Step[]} */ #steps = []
  #shown = (/** @type {Row} */ row) => [...this.#changes.values()].filter(({ seq }) => seq === row.seq).reduce(changing, row)
  #ask = (/** @type {Question} */ question) => (this.#asked.add(question), question)
  #replies = (/** @type {number} */ seq) => [...this.#rows.values()].filter(({ reply_to }) => reply_to === seq).map((row) => ({ row }))

  /** @param {() => boolean} [following] whether the reader is at the end: then the oldest rows make room, otherwise the newest */
  constructor(following = () => true) {
    super()
    this.#following = following
  }

  get rows() {
    return [...this.#rows.values()].sort((a, b) => a.seq - b.seq).map((row) => this.#shown(row))
  }

  /** The message at a place, as it is shown, when it is loaded or has been quoted. @param {number} seq */
  at(seq) {
    const row = this.#rows.get(seq) ?? this.#quoted.get(seq)
    return row && this.#shown(row)
  }

  /** A place that is replied to and of which nobody knows yet what stands there. */
  get unknown() {
    return [...this.#rows.values()].map(({ reply_to }) => reply_to).find((seq) => seq && !this.#rows.has(seq) && !this.#quoted.has(seq))
  }

  /** What stands there. @param {number} seq @param {Row} [row] */
  quote(seq, row) {
    this.#quoted.set(seq, row)
    this.#again(seq)
    this.#tell()
  }

  /** Own messages on their way stand after the newest, so not in a window that ends before it. */
  get items() {
    return this.newer ? [] : [...this.#items.values()]
  }

  /** Something is missing here: an event is held, or the head we heard of is not reached. */
  get behind() {
    return this.#held.size > 0 || this.#head > this.applied
  }

  /** The row of an own message, once it is here. @param {string} id */
  find = (id) => this.#rows.get(this.#ids.get(id) ?? -1)

  /** Starts over from the newest messages of the room. @param {Joined} page @param {Away | null} away */
  load({ messages, head, upto, epoch, name, older = false }, away = null) {
    for (const kept of [this.#held, this.#remembered, this.#asked, this.#quoted]) kept.clear()
    Object.assign(this, { applied: upto, epoch, away })
    this.#head = Math.max(head, upto)
    this.last = 0
    this.#show({ messages, older, newer: false })
    this.#arrived = []
    if (away) this.dispatchEvent(new Event("away"))
    this.#entitle(name)
  }

  /** A live event: next in line it is applied, beyond that held, below it old news. @param {Row} row */
  hear(row) {
    if (row.rev <= this.applied) return
    this.#held.set(row.rev, row)
    this.#drain()
    this.#trim()
    this.#tell()
  }

  /** Rows of an answer need not be contiguous: a number overwritten by a later change does not come again. @param {Changes} changes */
  merge({ messages, upto, head }) {
    for (const row of messages) this.#put(row)
    this.applied = Math.max(this.applied, upto)
    this.announce(head)
    this.#drain()
    this.#trim()
    this.#tell()
  }

  /** The room has come this far. @param {number} head */
  announce = (head) => (this.#head = Math.max(this.#head, head))

  /** Older rows are about to be asked for, with the question it returns. */
  askEarlier = () => this.#ask({ before: this.#first })
  /** Newer rows, when the window ends before the newest. */
  askLater = () => this.#ask({ after: this.#end })
  /** Another window: around a place, or without one the newest. @param {number} [around] */
  askElsewhere = (around) => this.#ask(around === undefined ? {} : { around })

  /** @param {Question} asked @param {Page | null} page null when there was no answer */
  earlier(asked, page) {
    // A page asked for before starting over is older than what is loaded now, and may leave a hole beside it.
    if (this.#asked.delete(asked) && page && asked.before === this.#first && page.epoch === this.epoch) {
      this.older = page.older
      this.#first = page.older ? (page.messages[0]?.seq ?? this.#first) : 0
      for (const row of page.messages) this.#put(row)
      this.#trim("newest")
    }
    this.#recall()
    this.#tell()
  }

  /** @param {Question} asked @param {Page | null} page */
  later(asked, page) {
    if (this.#asked.delete(asked) && page && asked.after === this.#end && page.epoch === this.epoch) {
      this.#endAt(page.newer, page.messages.at(-1)?.seq ?? this.#end)
      for (const row of page.messages) this.#put(row)
      this.#trim("oldest")
    }
    this.#recall()
    this.#tell()
    if (!this.newer) for (const item of this.items) this.expect(item)
  }

  /** The window is another one. @param {Question} asked @param {Page | null} page */
  elsewhere(asked, page) {
    if (!this.#asked.delete(asked) || !page || page.epoch !== this.epoch) return false
    const since = [...this.#rows.values(), ...this.#remembered.values()].filter(({ rev }) => rev > page.head)
    this.#remembered.clear()
    this.#show(page, since)
    this.#tell()
    return true
  }

  /** @param {Pick<Page, "messages" | "older" | "newer">} page @param {Row[]} [since] what is newer than the page, in the window or not */
  #show({ messages, older, newer }, since = []) {
    for (const kept of [this.#rows, this.#ids]) kept.clear()
    this.older = older
    this.#first = older ? (messages[0]?.seq ?? 0) : 0
    this.#endAt(newer, messages.at(-1)?.seq ?? Infinity)
    for (const row of [...messages, ...since]) this.#put(row)
    this.#tidy()
    this.#steps = []
    this.dispatchEvent(new Event("reset"))
  }

  /** @param {boolean} newer @param {number} last */
  #endAt(newer, last) {
    this.newer = newer
    this.#end = newer ? last : Infinity
  }

  /** What came beyond the window while history was asked for is perhaps within it now. */
  #recall() {
    const remembered = [...this.#remembered.values()]
    this.#remembered.clear()
    for (const row of remembered) this.#put(row)
  }

  /** Not more rows than a phone likes; they go where the reader is not. @param {"newest" | "oldest"} [end] */
  #trim(end = this.#following() ? "oldest" : "newest") {
    if (this.#rows.size + this.items.length <= MOST + LEEWAY) return
    const places = [...this.#rows.keys()].sort((a, b) => a - b)
    const surplus = Math.min(places.length - 1, places.length + this.items.length - MOST)
    const dropped = end === "oldest" ? places.slice(0, surplus) : places.slice(-surplus)
    for (const seq of dropped) this.#drop(seq)
    if (end === "oldest") {
      this.older = true
      this.#first = places[surplus]
    } else {
      for (const id of this.#items.keys()) this.#steps.push({ gone: id })
      this.#endAt(true, places[places.length - surplus - 1])
    }
  }

  /** @param {number} seq */
  #drop(seq) {
    const id = this.#rows.get(seq)?.id
    if (id !== undefined) this.#ids.delete(id)
    this.#rows.delete(seq)
    this.#steps.push({ gone: seq })
  }

  /** An own message is on its way, or has failed: it stands at the end until its row is here. A change stands at once. @param {Item} item */
  expect(item) {
    if (item.event) return this.#expectChange(item)
    if (this.#ids.has(item.id)) return
    this.#items.set(item.id, item)
    if (!this.newer) this.#steps.push({ item })
    this.#tell()
  }

  /** An own message will not be sent. @param {string} id */
  forget(id) {
    if (this.#items.delete(id)) this.#steps.push({ gone: id })
    this.#takeBack(id)
    this.#tell()
  }

  /** @param {Item} item */
  #expectChange(item) {
    if (item.state === "failed") this.#changes.delete(item.id)
    else this.#changes.set(item.id, item)
    this.#again(item.seq)
    this.#tell()
  }

  /** An own change is stored; it is shown by itself until its event is here. @param {string} id @param {Stored} answer */
  changed(id, { rev, head }) {
    const change = this.#changes.get(id)
    if (change) this.#changes.set(id, { ...change, rev })
    this.announce(head)
    this.#tell()
  }

  /** @param {string} id */
  #takeBack(id) {
    const change = this.#changes.get(id)
    if (this.#changes.delete(id)) this.#again(change?.seq)
  }

  /** A message is to be drawn again, and what replies to it. @param {number | undefined} seq */
  #again(seq = 0) {
    const row = this.#rows.get(seq)
    this.#steps.push(...(row ? [{ row }] : []), ...this.#replies(seq))
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
    if (row.seq > this.last) this.#arrive(row)
    const loaded = row.seq >= this.#first && row.seq <= this.#end
    if (loaded) this.#stand(row)
    else if (this.#asked.size) this.#remembered.set(row.seq, row)
    if (this.#quoted.has(row.seq)) this.#quoted.set(row.seq, row)
    this.#steps.push(...this.#replies(row.seq))
  }

  /** @param {Row} row */
  #stand(row) {
    this.#rows.set(row.seq, row)
    const was = row.id !== undefined && this.#items.delete(row.id) ? row.id : undefined
    if (row.id !== undefined) this.#ids.set(row.id, row.seq)
    this.#steps.push({ row, was })
  }

  /** Nobody has heard of anything later. @param {Row} row */
  #arrive(row) {
    this.last = row.seq
    this.#arrived.push(row)
    if (row.kind === "title") this.#entitle(row.message)
  }

  /** @param {string} name */
  #entitle(name) {
    if (name === this.name) return
    this.name = name
    this.dispatchEvent(new Event("title"))
  }

  /** An own message that is stored but has no row here, though everything up to it is: it stands further up than what is loaded. */
  #tidy() {
    for (const [id, rev] of this.#answered) {
      if (rev > this.applied && this.#items.has(id)) continue
      this.#answered.delete(id)
      if (this.#items.delete(id)) this.#steps.push({ gone: id })
    }
    for (const [id, { rev = Infinity }] of this.#changes) if (rev <= this.applied) this.#takeBack(id)
  }

  #tell() {
    this.#tidy()
    const [steps, arrived] = [this.#steps, this.#arrived]
    this.#steps = []
    this.#arrived = []
    const drawn = steps.map((step) => ("row" in step ? { ...step, row: this.#shown(step.row) } : step))
    if (steps.length) this.dispatchEvent(new CustomEvent("change", { detail: drawn }))
    if (this.unknown) this.dispatchEvent(new Event("quoted"))
    if (arrived.length) this.dispatchEvent(new CustomEvent("arrived", { detail: arrived }))
  }
}

/** How a message will stand once an own change to it is stored. @param {Row} row @param {Item} change @returns {Row} */
export function changing(row, { event, message, timestamp, emoji = "", on = false, mark = "" }) {
  if (row.deleted) return row
  if (event === "edit") return { ...row, message, edited: timestamp, pending: true }
  if (event === "delete") return { ...row, message: "", deleted: true, reactions: undefined }
  return { ...row, reactions: toggled(row.reactions, emoji, on, mark) }
}

/** @param {Row["reactions"]} reactions @param {string} emoji @param {boolean} on @param {string} mark */
function toggled(reactions = {}, emoji, on, mark) {
  const others = (reactions[emoji] ?? []).filter((each) => each !== mark)
  const all = { ...reactions, [emoji]: on ? [...others, mark] : others }
  return Object.fromEntries(Object.entries(all).filter(([, marks]) => marks.length))
}

// Draws a timeline into the list: one shape for what the server wrote and what arrives later.

import { drawReactions, drawReply, fold, turn, write, writeMark } from "./extras.js"
import { writeText } from "./markdown.js"
import { lookOf } from "./people.js"
import { begins, clockTime, dayName, follows, fullTime, said } from "./time.js"

/** @import { Said } from "./time.js" */
/** @import { Item, Row } from "./wire.js" */
/** @import { Step, Timeline } from "./timeline.js" */
/** @typedef {{ after: number, words: string }} Line above the first message after that place */
/** @typedef {{ mark: () => string, hides: (mark: string) => boolean, original: (seq: number) => Row | undefined, names: (text: string) => boolean }} Reader who reads, whom they ignore, what they know, and what names them */

const DELETED = "message deleted"
const UNDRAWABLE = "This message could not be displayed."
const FLASH_MS = 2000
const SOMEBODY = "Somebody"

export class MessageList {
  #list
  #templates
  #reader
  /** @type {Map<number | string, HTMLElement>} by seq; own messages without a row by id */
  #elements = new Map()
  /** @type {WeakMap<Element, Said>} */ #said = new WeakMap()
  /** @type {WeakMap<Element, string>} */ #texts = new WeakMap()
  #looks = new Map([["", ""]]) // marks by what their names look like
  /** @type {Line | null} */ #line = null
  /** @type {HTMLElement | undefined} */ #lineElement

  /**
   * @param {HTMLElement} list
   * @param {(name: string) => HTMLElement} template a fresh copy of the page's template of that name
   * @param {Reader} reader
   */
  constructor(list, template, reader) {
    this.#list = list
    this.#templates = template
    this.#reader = reader
    for (const element of this.messages()) this.#elements.set(Number(element.dataset.seq), element)
  }

  messages() {
    return /** @type {HTMLElement[]} */ ([...this.#list.querySelectorAll(":scope > .message")])
  }

  /** The element of the line between what was read and what is new. */
  get line() {
    return this.#lineElement?.isConnected ? this.#lineElement : null
  }

  /** Everything anew; what already stands stays the element it is. @param {Pick<Timeline, "rows" | "items">} timeline */
  reset({ rows, items }) {
    const wanted = new Set([...rows.map((row) => row.seq), ...items.map((item) => item.id)])
    for (const key of [...this.#elements.keys()]) if (!wanted.has(key)) this.#remove(key)
    this.draw([...rows.map((row) => ({ row })), ...items.map((item) => ({ item }))])
  }

  /** @param {Step[]} steps */
  draw(steps) {
    for (const step of steps) {
      if ("row" in step) this.#drawRow(step.row, step.was)
      else if ("item" in step) this.#drawItem(step.item)
      else this.#remove(step.gone)
    }
    this.#drawLine()
  }

  /** @param {Line | null} line */
  mark(line) {
    this.#line = line
    this.#drawLine()
  }

  /** The message of a place, or the nearest one. @param {number} seq */
  nearest(seq) {
    const far = (/** @type {HTMLElement} */ element) => Math.abs(placeOf(element) - seq)
    return this.messages().reduce((/** @type {HTMLElement | null} */ best, element) => (best && far(best) <= far(element) ? best : element), null)
  }

  /** @param {HTMLElement} element */
  flash(element) {
    element.dataset.flash = ""
    setTimeout(() => delete element.dataset.flash, FLASH_MS)
  }

  /** This person is called something else now. */
  rename() {
    for (const element of this.messages()) this.#point(element)
  }

  /** Opens or folds a long message. @param {HTMLElement} button */
  turn(button) {
    turn(/** @type {HTMLElement} */ (button.closest(".message")), button)
  }

  /** Above the first of the messages that are new; as long as older ones are not loaded, above all. */
  #drawLine() {
    const { after, words } = this.#line ?? { after: Infinity, words: "" }
    const first = this.messages().find((element) => placeOf(element) > after && element.dataset.seq !== undefined)
    if (!first) return this.#lineElement?.remove()
    this.#lineElement ??= this.#templates("away")
    write(this.#lineElement, ".away__words", words)
    if (this.#lineElement.parentElement !== first) first.prepend(this.#lineElement)
  }

  /** @param {Row} row @param {string} [was] */
  #drawRow(row, was) {
    const element = this.#elements.get(was ?? row.seq) ?? this.#templates("message")
    if (was) this.#elements.delete(was)
    const mine = row.mark === this.#reader.mark()
    this.#number(element, row)
    element.dataset.side = mine ? "own" : "other"
    element.dataset.state = stateOf(row)
    element.toggleAttribute("data-ignored", this.#reader.hides(row.mark))
    this.#said.set(element, said(row.kind ?? (mine ? "own" : row.mark), row.handle, row.timestamp))
    if (row.deleted) this.#fill(element, row, DELETED, "")
    else this.#fill(element, row, row.message, row.edited ? "edited" : "")
    this.#point(element)
    this.#hang(element, row)
    this.#trouble(element)
    this.#place(element, row.seq)
  }

  /** What somebody else says to this person stands out. @param {HTMLElement} element */
  #point(element) {
    const { side, state, kind } = element.dataset
    const text = side === "other" && state === "sent" && !kind && this.#texts.get(element)
    element.toggleAttribute("data-names", !!text && this.#reader.names(text))
  }

  /** @param {HTMLElement} element @param {Row} row */
  #hang(element, { deleted, reply_to, reactions }) {
    const { mark, hides, original } = this.#reader
    const to = deleted ? undefined : reply_to
    const known = to ? original(to) : undefined
    drawReply(element, to, known, { template: this.#templates, hidden: known !== undefined && hides(known.mark) })
    drawReactions(element, (!deleted && reactions) || {}, mark(), this.#templates)
  }

  /** It has a place now, and a link. @param {HTMLElement} element @param {Row} row */
  #number(element, { seq, kind }) {
    delete element.dataset.id
    element.id = `m-${seq}`
    element.dataset.seq = String(seq)
    if (kind) element.dataset.kind = kind
    element.querySelector(".message__link")?.setAttribute("href", `#m-${seq}`)
  }

  /** @param {Item} item */
  #drawItem(item) {
    const element = this.#elements.get(item.id) ?? this.#templates("message")
    element.dataset.id = item.id
    element.dataset.side = "own"
    element.dataset.state = item.state === "failed" ? "failed" : "pending"
    this.#said.set(element, said("own", item.handle, item.timestamp))
    this.#fill(element, item, item.message, "")
    const known = item.reply_to ? this.#reader.original(item.reply_to) : undefined
    drawReply(element, item.reply_to, known, { template: this.#templates, hidden: false })
    this.#trouble(element, item)
    this.#place(element, item.id)
  }

  /** @param {HTMLElement} element @param {{ handle: string, timestamp: string, mark?: string }} about @param {string} text @param {string} note */
  #fill(element, { handle, timestamp, mark = "" }, text, note) {
    write(element, ".message__name", handle || SOMEBODY)
    writeMark(element, ".message__mark", mark, handle)
    if (mark) this.#compare(lookOf(handle), mark)
    write(element, ".message__note", note)
    const time = write(element, ".message__time", clockTime(timestamp))
    time.setAttribute("datetime", timestamp)
    time.title = fullTime(timestamp)
    if (this.#texts.get(element) === text) return
    this.#texts.set(element, text)
    if (element.dataset.kind) return void write(element, ".message__text", happened(element.dataset.kind, text))
    this.#word(element, text)
    fold(element, text, () => this.#templates("more"))
  }

  /** As soon as two people look alike by their names, their marks are shown. @param {string} look @param {string} mark */
  #compare(look, mark) {
    if ((this.#looks.get(look) ?? mark) !== mark) this.#list.dataset.twins = ""
    this.#looks.set(look, mark)
  }

  /** One message that cannot be drawn breaks no others. @param {HTMLElement} element @param {string} text */
  #word(element, text) {
    try {
      writeText(/** @type {HTMLElement} */ (element.querySelector(".message__text")), text)
    } catch {
      write(element, ".message__text", UNDRAWABLE)
    }
  }

  /** Why an own message was not taken; when that is for good, what can be done about it. @param {HTMLElement} element @param {Item} [item] */
  #trouble(element, item) {
    element.querySelector(".trouble")?.remove()
    if (!item?.reason) return
    const trouble = this.#templates("trouble")
    const forGood = item.state === "failed"
    write(trouble, ".trouble__reason", forGood ? item.reason : `${item.reason} It will be sent by itself.`)
    for (const way of trouble.querySelectorAll("button")) way.hidden = !forGood
    element.append(trouble)
  }

  /** By seq, own messages without a row last. @param {HTMLElement} element @param {number | string} key */
  #place(element, key) {
    const known = this.#elements.get(key) === element
    this.#elements.set(key, element)
    if (known && element.isConnected) return this.#mindAround(element)
    const left = element.isConnected ? following(element) : null
    const next = this.#after(element)
    if (!element.isConnected || left !== next) this.#list.insertBefore(element, lineAbove(next) ?? next)
    if (left && left !== next) this.#mind(left)
    this.#mindAround(element)
  }

  /** The message before which an element belongs. @param {HTMLElement} element */
  #after(element) {
    let next = null
    for (let other = this.#list.lastElementChild; other; other = other.previousElementSibling) {
      if (other === element || !other.matches(".message")) continue
      if (placeOf(/** @type {HTMLElement} */ (other)) <= placeOf(element)) break
      next = other
    }
    return next
  }

  /** @param {number | string} key */
  #remove(key) {
    const element = this.#elements.get(key)
    if (!element) return
    const next = following(element)
    this.#elements.delete(key)
    lineAbove(element)?.remove()
    element.remove()
    if (next) this.#mind(next)
  }

  /** @param {HTMLElement} element */
  #mindAround(element) {
    this.#mind(element)
    const next = following(element)
    if (next) this.#mind(next)
  }

  /** Whether a day begins with a message, and whether its name has just been said. @param {HTMLElement} element */
  #mind(element) {
    const before = previous(element)
    const here = this.#said.get(element)
    const there = before ? this.#said.get(before) : undefined
    if (!here || (before && !there)) return // written by the server, and not drawn yet
    element.toggleAttribute("data-follows", follows(there, here))
    const line = lineAbove(element)
    if (!begins(there, here)) return line?.remove()
    const time = write(line ?? this.#list.insertBefore(this.#templates("day"), element), ".day__name", dayName(timeOf(element)))
    time.setAttribute("datetime", here.day)
  }
}

/** A line of the room itself says what happened. @param {string} kind @param {string} name */
function happened(kind, name) {
  if (kind === "rename") return `is now called ${name}`
  return name ? `named the room “${name}”` : "took the room’s name away"
}

/** @param {Row} row */
const stateOf = ({ deleted, pending }) => (deleted ? "deleted" : pending ? "pending" : "sent")

/** @param {HTMLElement} element */
const placeOf = (element) => (element.dataset.seq === undefined ? Infinity : Number(element.dataset.seq))

/** @param {HTMLElement} element */
const timeOf = (element) => element.querySelector("time")?.dateTime ?? ""

/** The day line right above a message. @param {Element | null} element */
function lineAbove(element) {
  const line = element?.previousElementSibling
  return /** @type {HTMLElement | null} */ (line?.matches(".day") ? line : null)
}

/** The nearest message beside an element. @param {Element} element @param {"previousElementSibling" | "nextElementSibling"} way */
function beside(element, way) {
  let there = element[way]
  while (there && !there.matches(".message")) there = there[way]
  return /** @type {HTMLElement | null} */ (there)
}
const previous = (/** @type {Element} */ element) => beside(element, "previousElementSibling")
const following = (/** @type {Element} */ element) => beside(element, "nextElementSibling")

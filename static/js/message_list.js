// Draws a timeline into the list: one shape for what the server wrote and what arrives later.

import { clockTime, dayName, dayOf, fullTime } from "./time.js"

/** @import { Away, Item, Row } from "./wire.js" */
/** @import { Step, Timeline } from "./timeline.js" */

const DELETED = "message deleted"
const COUNTED = 10_000 // the server counts no further

export class MessageList {
  #list
  #templates
  #mine
  /** @type {Map<number | string, HTMLElement>} by seq; own messages without a row by id */
  #elements = new Map()
  /** @type {HTMLElement | undefined} */ #awayLine

  /**
   * @param {HTMLElement} list
   * @param {(name: string) => HTMLElement} template a fresh copy of the page's template of that name
   * @param {(row: Row) => boolean} mine
   */
  constructor(list, template, mine) {
    this.#list = list
    this.#templates = template
    this.#mine = mine
    for (const element of this.#messages()) this.#elements.set(Number(element.dataset.seq), element)
  }

  /** Everything anew; what already stands stays the element it is. @param {Timeline} timeline */
  reset({ rows, items, away }) {
    const wanted = new Set([...rows.map((row) => row.seq), ...items.map((item) => item.id)])
    for (const key of [...this.#elements.keys()]) if (!wanted.has(key)) this.#remove(key)
    this.#awayLine?.remove()
    this.draw([...rows.map((row) => ({ row, fresh: false })), ...items.map((item) => ({ item }))], away)
  }

  /** @param {Step[]} steps @param {Away | null} [away] */
  draw(steps, away) {
    for (const step of steps) {
      if ("row" in step) this.#drawRow(step.row, step.was)
      else if ("item" in step) this.#drawItem(step.item)
      else this.#remove(step.gone)
    }
    if (away) this.#drawAway(away)
  }

  /** Above the first of the messages that are new; as long as older ones are not loaded, above all. @param {Away} away */
  #drawAway({ after, missed }) {
    const first = this.#messages().find((element) => placeOf(element) > after)
    this.#awayLine ??= this.#templates("away")
    const many = missed >= COUNTED ? `${COUNTED.toLocaleString()} or more messages` : missed === 1 ? "1 message" : `${missed.toLocaleString()} messages`
    write(this.#awayLine, ".away__words", `${many} while you were away`)
    if (first && this.#awayLine.parentElement !== first) first.prepend(this.#awayLine)
  }

  /** @param {Row} row @param {string} [was] */
  #drawRow(row, was) {
    const element = this.#elements.get(was ?? row.seq) ?? this.#templates("message")
    if (was) this.#elements.delete(was)
    delete element.dataset.id
    element.dataset.seq = String(row.seq)
    element.dataset.side = this.#mine(row) ? "own" : "other"
    element.dataset.state = row.deleted ? "deleted" : "sent"
    this.#fill(element, row, row.deleted ? DELETED : row.message, row.edited && !row.deleted ? "edited" : "")
    this.#trouble(element)
    this.#place(element, row.seq)
  }

  /** @param {Item} item */
  #drawItem(item) {
    const element = this.#elements.get(item.id) ?? this.#templates("message")
    element.dataset.id = item.id
    element.dataset.side = "own"
    element.dataset.state = item.state === "failed" ? "failed" : "pending"
    this.#fill(element, item, item.message, "")
    this.#trouble(element, item)
    this.#place(element, item.id)
  }

  /** @param {HTMLElement} element @param {{ handle: string, timestamp: string, mark?: string }} said @param {string} text @param {string} note */
  #fill(element, { handle, timestamp, mark = "" }, text, note) {
    write(element, ".message__name", handle)
    write(element, ".message__mark", mark.slice(0, 4))
    write(element, ".message__text", text)
    write(element, ".message__note", note)
    const time = write(element, ".message__time", clockTime(timestamp))
    time.setAttribute("datetime", timestamp)
    time.title = fullTime(timestamp)
    element.dataset.day = dayOf(timestamp)
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
    if (known && element.isConnected) return this.#mindDay(element)
    const place = placeOf(element)
    let next = null
    for (const other of this.#messages().reverse()) {
      if (other === element) continue
      if (placeOf(other) <= place) break
      next = other
    }
    if (!element.isConnected || following(element) !== next) this.#list.insertBefore(element, next)
    this.#mindDay(element)
    if (next) this.#mindDay(next)
  }

  /** @param {number | string} key */
  #remove(key) {
    const element = this.#elements.get(key)
    if (!element) return
    const next = following(element)
    this.#elements.delete(key)
    element.remove()
    if (next) this.#mindDay(next)
    else if (this.#list.lastElementChild?.matches(".day")) this.#list.lastElementChild.remove()
  }

  /** A day line stands above a message exactly when the one before it is of another day. @param {HTMLElement} element */
  #mindDay(element) {
    let line = element.previousElementSibling
    if (!line?.matches(".day")) line = null
    const before = /** @type {HTMLElement | null} */ ((line ?? element).previousElementSibling)
    const needed = before?.dataset.day !== element.dataset.day
    if (!needed) return void line?.remove()
    line ??= this.#list.insertBefore(this.#templates("day"), element)
    const time = write(/** @type {HTMLElement} */ (line), ".day__name", dayName(timeOf(element)))
    time.setAttribute("datetime", element.dataset.day ?? "")
  }

  #messages() {
    return /** @type {HTMLElement[]} */ ([...this.#list.querySelectorAll(":scope > .message")])
  }
}

/** @param {HTMLElement} element */
const placeOf = (element) => (element.dataset.seq === undefined ? Infinity : Number(element.dataset.seq))

/** @param {HTMLElement} element */
const timeOf = (element) => element.querySelector("time")?.dateTime ?? ""

/** The message after this one. @param {HTMLElement} element */
function following(element) {
  let next = element.nextElementSibling
  while (next && !next.matches(".message")) next = next.nextElementSibling
  return /** @type {HTMLElement | null} */ (next)
}

/** Text enters the page as text. @param {HTMLElement} element @param {string} piece @param {string} text */
function write(element, piece, text) {
  const found = /** @type {HTMLElement} */ (element.querySelector(piece))
  if (found.textContent !== text) found.textContent = text
  return found
}

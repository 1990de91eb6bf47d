// What can be done with a message: by its menu, which hovering, a long press and Enter open, and by keys on it.

import { firstLine, write } from "./extras.js"
import { LongPress } from "./long_press.js"

/** @import { Row } from "./wire.js" */
/** @typedef {Record<string, (row: Row, emoji: string) => void>} Deeds */

const EDGE_PX = 8

export class MessageMenu {
  #menu
  #parts
  /** @type {Row | null} */ #row = null
  #side = (/** @type {Row} */ row) => (this.#parts.mine(row) ? "own" : "other")
  #first = () => [...this.#menu.querySelectorAll("button")].find((button) => button.checkVisibility())

  /** @param {HTMLElement} menu @param {{ log: HTMLElement, rowOf: (seq: number) => Row | undefined, mine: (row: Row) => boolean, deeds: Deeds }} parts */
  constructor(menu, parts) {
    this.#menu = menu
    this.#parts = parts
    menu.addEventListener("click", ({ target }) => this.#chosen(/** @type {HTMLElement} */ (target).closest("button")?.dataset ?? {}))
    parts.log.addEventListener("keydown", (event) => this.#pressed(event))
    new LongPress(parts.log, { accepts: takesLongPress, open: (target) => this.open(target) })
  }

  /** Returns the menu, or null when there is nothing to do with this message. @param {Element} element the message, or anything in it */
  open(element) {
    this.#row = this.#of(element)
    if (!this.#row) return null
    write(this.#menu, ".menu__of", `${this.#row.handle}: ${firstLine(this.#row)}`)
    this.#menu.dataset.of = this.#side(this.#row)
    delete this.#menu.dataset.more
    this.#menu.showPopover()
    this.#place(/** @type {HTMLElement} */ (element.closest(".message")))
    this.#first()?.focus()
    return this.#menu
  }

  /** @param {Element} element the message, or anything in it @param {string} action @param {string} [emoji] */
  do(element, action, emoji = "") {
    const row = this.#of(element)
    if (row) this.#parts.deeds[action](row, emoji)
  }

  /** A line of the room, an own message on its way and a deleted one have no menu. @param {Element} element */
  #of(element) {
    const row = this.#parts.rowOf(Number(/** @type {HTMLElement | null} */ (element.closest(".message"))?.dataset.seq))
    return row && !row.kind && !row.deleted ? row : null
  }

  /** Beside its message, wherever there is room; on a small screen it is below. @param {HTMLElement} message */
  #place(message) {
    const body = /** @type {HTMLElement} */ (message.querySelector(".message__body")).getBoundingClientRect()
    const { width, height } = this.#menu.getBoundingClientRect()
    const within = (/** @type {number} */ wanted, /** @type {number} */ most) => `${Math.max(EDGE_PX, Math.min(wanted, most - EDGE_PX))}px`
    const left = message.dataset.side === "own" ? body.left - width - EDGE_PX : body.right + EDGE_PX
    this.#menu.style.setProperty("--left", within(left, innerWidth - width))
    this.#menu.style.setProperty("--top", within(body.top, innerHeight - height))
  }

  /** @param {DOMStringMap} dataset of what is pressed */
  #chosen({ action, emoji = "" }) {
    if (!action) return
    this.#menu.toggleAttribute("data-more", action === "more")
    if (action === "more") return this.#first()?.focus()
    this.#menu.hidePopover()
    if (this.#row) this.#parts.deeds[action](this.#row, emoji)
  }

  /** A key on a message does what the menu would. @param {KeyboardEvent} event */
  #pressed(event) {
    const message = /** @type {HTMLElement} */ (event.target)
    const row = message.matches(".message") && !(event.ctrlKey || event.metaKey || event.altKey) && this.#of(message)
    if (!row) return
    const way = [...this.#menu.querySelectorAll("button")].find(({ dataset }) => dataset.key === event.key && (dataset.of ?? this.#side(row)) === this.#side(row))
    if (event.key === "Enter") this.open(message)
    else if (way) this.do(message, way.dataset.action ?? "", way.dataset.emoji)
    else return
    event.preventDefault()
  }
}

/** A link has a menu of the browser's own. @param {Element} target */
const takesLongPress = (target) => target.closest(".message__body") !== null && target.closest("a") === null

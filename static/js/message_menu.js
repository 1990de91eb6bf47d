// What can be done with a message: by its menu, which hovering, a long press and Enter open, and by keys on it.

import { onlyPictures } from "./markdown.js"

/** @import { Row } from "./wire.js" */
/** @typedef {Record<string, (row: Row, emoji: string) => void>} Deeds */

const LONG_MS = 500
const STILL_PX = 10
const EDGE_PX = 8
const ONE = "Type one emoji."

export class MessageMenu {
  #menu
  #parts
  /** @type {Row | null} */ #row = null

  /** @param {HTMLElement} menu @param {{ log: HTMLElement, rowOf: (seq: number) => Row | undefined, mine: (row: Row) => boolean, deeds: Deeds }} parts */
  constructor(menu, parts) {
    this.#menu = menu
    this.#parts = parts
    menu.addEventListener("click", ({ target }) => this.#chosen(/** @type {HTMLElement} */ (target)))
    menu.addEventListener("keydown", (event) => this.#walk(event))
    menu.querySelector("form")?.addEventListener("submit", (event) => this.#typed(event))
    parts.log.addEventListener("keydown", (event) => this.#pressed(event))
    parts.log.addEventListener("pointerdown", (event) => event.pointerType === "touch" && this.#held(event))
  }

  /** @param {Element} element the message, or anything in it */
  open(element) {
    this.#row = this.#of(element)
    if (!this.#row) return
    this.#turn(this.#row)
    this.#menu.showPopover()
    this.#place(/** @type {HTMLElement} */ (element.closest(".message")))
    this.#buttons()[0].focus()
  }

  /** @param {Element} element the message, or anything in it @param {string} action @param {string} [emoji] */
  do(element, action, emoji = "") {
    const row = this.#of(element)
    if (row) this.#parts.deeds[action](row, emoji)
  }

  /** A line of the room, an own message on its way and a deleted one have no menu. @param {Element} element */
  #of(element) {
    const message = /** @type {HTMLElement | null} */ (element.closest(".message"))
    const row = this.#parts.rowOf(Number(message?.dataset.seq))
    return row && !row.kind && !row.deleted ? row : null
  }

  /** The menu of this message. @param {Row} row */
  #turn(row) {
    this.#menu.ariaLabel = `Message by ${row.handle}`
    this.#menu.dataset.of = this.#parts.mine(row) ? "own" : "other"
    delete this.#menu.dataset.more
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

  #buttons() {
    return [...this.#menu.querySelectorAll("button")].filter((button) => button.checkVisibility())
  }

  /** @param {HTMLElement} target */
  #chosen(target) {
    const { action = "", emoji = "" } = target.closest("button")?.dataset ?? {}
    if (action === "more") {
      this.#menu.dataset.more = ""
      this.#buttons()[0].focus()
    } else if (action) this.#finish(action, emoji)
  }

  /** @param {string} action @param {string} emoji */
  #finish(action, emoji) {
    this.#menu.hidePopover()
    if (this.#row) this.#parts.deeds[action](this.#row, emoji)
  }

  /** @param {SubmitEvent} event */
  #typed(event) {
    event.preventDefault()
    const field = /** @type {HTMLInputElement} */ (this.#menu.querySelector("input"))
    const emoji = field.value.trim()
    field.setCustomValidity(onlyPictures(emoji) && [...new Intl.Segmenter().segment(emoji)].length === 1 ? "" : ONE)
    field.addEventListener("input", () => field.setCustomValidity(""), { once: true })
    if (!field.reportValidity()) return
    field.value = ""
    this.#finish("react", emoji)
  }

  /** @param {KeyboardEvent} event */
  #walk(event) {
    const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key]
    if (!step || event.target instanceof HTMLInputElement) return
    event.preventDefault()
    const buttons = this.#buttons()
    const here = buttons.indexOf(/** @type {HTMLButtonElement} */ (document.activeElement))
    buttons.at((here + step) % buttons.length)?.focus()
  }

  /** A key on a message does what the menu would. @param {KeyboardEvent} event */
  #pressed(event) {
    const message = /** @type {HTMLElement} */ (event.target)
    const row = message.matches(".message") && !(event.ctrlKey || event.metaKey || event.altKey) && this.#of(message)
    if (!row) return
    const side = this.#parts.mine(row) ? "own" : "other"
    const way = [...this.#menu.querySelectorAll("button")].find(({ dataset }) => dataset.key === event.key && (dataset.of ?? side) === side)
    if (event.key === "Enter") this.open(message)
    else if (way) this.do(message, way.dataset.action ?? "", way.dataset.emoji)
    else return
    event.preventDefault()
  }

  /** A finger that rests on a message. @param {PointerEvent} event */
  #held({ target, clientX, clientY }) {
    const touched = /** @type {Element} */ (target)
    if (!touched.closest(".message__body") || touched.closest("a, button")) return
    const over = new AbortController()
    const timer = setTimeout(() => (over.abort(), this.open(touched)), LONG_MS)
    over.signal.addEventListener("abort", () => clearTimeout(timer))
    const { signal } = over
    for (const end of ["pointerup", "pointercancel", "scroll"]) addEventListener(end, () => over.abort(), { signal, capture: true })
    const far = (/** @type {PointerEvent} */ now) => Math.hypot(now.clientX - clientX, now.clientY - clientY) > STILL_PX
    addEventListener("pointermove", (now) => far(now) && over.abort(), { signal })
  }
}

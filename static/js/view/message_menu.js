// The menu of a message: opened by its button, a long press or Enter; its entries also have keys.

import { clamp } from "../lib/geometry.js"
import { setText } from "./dom.js"
import { LongPress } from "./long_press.js"
import { previewText } from "./message_parts.js"

/** @import { Row } from "../wire.js" */
/**
 * @typedef {Record<string, (row: Row, emoji: string) => void>} MessageActions by the name in
 *   `data-action`
 */

/**
 * Who has reacted to a message with an emoji.
 *
 * @typedef {object} Reactors
 * @property {string} emoji
 * @property {string[]} names
 */

const SCREEN_MARGIN_PX = 8

export class MessageMenu {
  #menu
  #getRow
  #isOwn
  #reactorsOf
  #actions
  /** @type {Row | null} the message whose menu is open */
  #row = null

  /**
   * @param {HTMLElement} menu
   * @param {object} dependencies
   * @param {HTMLElement} dependencies.log contains the messages
   * @param {(seq: number) => Row | undefined} dependencies.getRow
   * @param {(row: Row) => boolean} dependencies.isOwn
   * @param {(row: Row) => Reactors[]} dependencies.reactorsOf
   * @param {MessageActions} dependencies.actions
   */
  constructor(menu, { log, getRow, isOwn, reactorsOf, actions }) {
    this.#menu = menu
    this.#getRow = getRow
    this.#isOwn = isOwn
    this.#reactorsOf = reactorsOf
    this.#actions = actions
    menu.addEventListener("click", ({ target }) => {
      const button = /** @type {HTMLElement} */ (target).closest("button")
      if (button) this.#handleClick(button)
    })
    log.addEventListener("keydown", (event) => this.#handleKey(event))
    new LongPress(log, { accepts: acceptsLongPress, open: (target) => this.open(target) })
  }

  /**
   * @param {Element} element a message, or an element inside it
   * @returns {HTMLElement | null} the menu; null when the message has none
   */
  open(element) {
    const row = this.#rowOf(element)
    if (!row) return null
    this.#row = row
    setText(this.#menu, ".menu__title", `${row.handle}: ${previewText(row)}`)
    this.#menu.dataset.side = this.#sideOf(row)
    this.#showReactors(row)
    this.#menu.removeAttribute("data-all-emoji")
    this.#menu.showPopover()
    this.#moveTo(/** @type {HTMLElement} */ (element.closest(".message")))
    this.#focusFirstButton()
    return this.#menu
  }

  /**
   * Does what an entry of the menu does.
   *
   * @param {Element} element a message, or an element inside it
   * @param {string} action
   * @param {string} [emoji]
   */
  run(element, action, emoji = "") {
    const row = this.#rowOf(element)
    if (row) this.#actions[action](row, emoji)
  }

  /**
   * Closes the menu of a message that was deleted; its text must not stay in the title.
   *
   * @param {number} seq
   */
  forget(seq) {
    if (this.#row?.seq !== seq) return
    this.#row = null
    this.#menu.hidePopover()
    setText(this.#menu, ".menu__title", "")
  }

  /**
   * The row of a message that has a menu. System messages, deleted messages and those that are not
   * stored yet have none.
   *
   * @param {Element} element
   */
  #rowOf(element) {
    const message = /** @type {HTMLElement | null} */ (element.closest(".message"))
    const row = this.#getRow(Number(message?.dataset.seq))
    if (!row || row.kind || row.deleted) return null
    return row
  }

  /** @param {Row} row */
  #sideOf(row) {
    return this.#isOwn(row) ? "own" : "other"
  }

  /** @param {Row} row */
  #showReactors(row) {
    const items = this.#reactorsOf(row).map(({ emoji, names }) => {
      const item = document.createElement("li")
      item.className = "menu__reactor"
      item.textContent = `${emoji} ${names.join(", ")}`
      return item
    })
    this.#menu.querySelector(".menu__reactors")?.replaceChildren(...items)
  }

  /**
   * Moves the menu beside a message, as far as there is space; on a small screen CSS puts it at the
   * bottom.
   *
   * @param {HTMLElement} message
   */
  #moveTo(message) {
    const body = /** @type {HTMLElement} */ (message.querySelector(".message__body"))
    const beside = body.getBoundingClientRect()
    const { width, height } = this.#menu.getBoundingClientRect()
    const isOwn = message.dataset.side === "own"
    const left = isOwn ? beside.left - width - SCREEN_MARGIN_PX : beside.right + SCREEN_MARGIN_PX
    const maxLeft = innerWidth - width - SCREEN_MARGIN_PX
    const maxTop = innerHeight - height - SCREEN_MARGIN_PX
    const { style } = this.#menu
    style.setProperty("--left", `${clamp(left, SCREEN_MARGIN_PX, maxLeft)}px`)
    style.setProperty("--top", `${clamp(beside.top, SCREEN_MARGIN_PX, maxTop)}px`)
  }

  #focusFirstButton() {
    const buttons = [...this.#menu.querySelectorAll("button")]
    buttons.find((button) => button.checkVisibility())?.focus()
  }

  /** @param {HTMLButtonElement} button */
  #handleClick(button) {
    const { action, emoji = "" } = button.dataset
    if (!action) return
    if (action === "all-emoji") {
      this.#menu.setAttribute("data-all-emoji", "")
      this.#focusFirstButton()
      return
    }
    this.#menu.hidePopover()
    if (this.#row) this.#actions[action](this.#row, emoji)
  }

  /**
   * Keys on a focused message: Enter opens its menu, the others do what an entry of the menu does.
   *
   * @param {KeyboardEvent} event
   */
  #handleKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return
    const message = /** @type {HTMLElement} */ (event.target)
    const row = message.matches(".message") ? this.#rowOf(message) : null
    if (!row) return
    const button = this.#buttonForKey(event.key, row)
    if (event.key === "Enter") this.open(message)
    else if (button) this.run(message, button.dataset.action ?? "", button.dataset.emoji)
    else return
    event.preventDefault()
  }

  /**
   * @param {string} key
   * @param {Row} row
   */
  #buttonForKey(key, row) {
    const side = this.#sideOf(row)
    const buttons = [...this.#menu.querySelectorAll("button")]
    return buttons.find(({ dataset }) => dataset.key === key && (dataset.for ?? side) === side)
  }
}

/**
 * Links keep the menu of the browser.
 *
 * @param {Element} target
 */
function acceptsLongPress(target) {
  return target.closest(".message__body") !== null && target.closest("a") === null
}

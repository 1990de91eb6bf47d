// The menu of a message: opened by its button, a long press or the keyboard; its entries also have
// keys.

import { latinLetter } from "../lib/keys.js"
import { setText } from "./dom.js"
import { LongPress } from "./long_press.js"
import { setUpMenuKeys, visibleItems } from "./menu_keys.js"
import { MENU_MARGIN_PX, moveMenu } from "./menu_position.js"
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

const OPENING_KEYS = ["Enter", "ArrowRight"]

export class MessageMenu {
  #dialog
  #getRow
  #isOwn
  #mayModerate
  #reactorsOf
  #actions
  /** @type {HTMLElement | null} the message whose menu is open, or was open last */
  #message = null

  /**
   * @param {HTMLDialogElement} dialog
   * @param {object} dependencies
   * @param {HTMLElement} dependencies.log contains the messages
   * @param {(seq: number) => Row | undefined} dependencies.getRow
   * @param {(row: Row) => boolean} dependencies.isOwn
   * @param {(mark: string) => boolean} dependencies.mayModerate
   * @param {(row: Row) => Reactors[]} dependencies.reactorsOf
   * @param {MessageActions} dependencies.actions
   */
  constructor(dialog, { log, getRow, isOwn, mayModerate, reactorsOf, actions }) {
    this.#dialog = dialog
    this.#getRow = getRow
    this.#isOwn = isOwn
    this.#mayModerate = mayModerate
    this.#reactorsOf = reactorsOf
    this.#actions = actions
    dialog.addEventListener("click", ({ target }) => {
      const button = /** @type {HTMLElement} */ (target).closest("button")
      if (button) this.#handleClick(button)
    })
    setUpMenuKeys(dialog)
    log.addEventListener("keydown", (event) => this.#handleKey(event))
    new LongPress(log, { accepts: acceptsLongPress, open: (target) => this.open(target) })
  }

  /**
   * The message takes the focus, which returns to it when the menu closes.
   *
   * @param {Element} element a message, or an element inside it
   * @returns {boolean} false when the message has no menu
   */
  open(element) {
    const message = /** @type {HTMLElement | null} */ (element.closest(".message"))
    const row = message && this.#rowOf(message)
    if (!row) return false
    this.#message = message
    setText(this.#dialog, ".menu__title", `${row.handle}: ${previewText(row)}`)
    this.#dialog.dataset.side = this.#sideOf(row)
    this.#showReactors(row)
    this.#dialog.removeAttribute("data-all-emoji")
    message.focus({ preventScroll: true })
    this.#dialog.showModal()
    this.#moveTo(message)
    visibleItems(this.#dialog).at(0)?.focus()
    return true
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
    if (Number(this.#message?.dataset.seq) !== seq) return
    this.#message = null
    this.#dialog.close()
    setText(this.#dialog, ".menu__title", "")
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
    if (this.#isOwn(row)) return "own"
    return this.#mayModerate(row.mark) ? "moderated" : "other"
  }

  /** @param {Row} row */
  #showReactors(row) {
    const items = this.#reactorsOf(row).map(({ emoji, names }) => {
      const item = document.createElement("li")
      item.className = "menu__reactor"
      item.textContent = `${emoji} ${names.join(", ")}`
      return item
    })
    this.#dialog.querySelector(".menu__reactors")?.replaceChildren(...items)
  }

  /**
   * Moves the menu beside a message.
   *
   * @param {HTMLElement} message
   */
  #moveTo(message) {
    const body = /** @type {HTMLElement} */ (message.querySelector(".message__body"))
    const beside = body.getBoundingClientRect()
    const { width } = this.#dialog.getBoundingClientRect()
    const isOwn = message.dataset.side === "own"
    const left = isOwn ? beside.left - width - MENU_MARGIN_PX : beside.right + MENU_MARGIN_PX
    moveMenu(this.#dialog, { left, top: beside.top })
  }

  /** @param {HTMLButtonElement} button */
  #handleClick(button) {
    const { action, emoji = "" } = button.dataset
    if (!action) return
    if (action === "all-emoji") {
      this.#dialog.setAttribute("data-all-emoji", "")
      visibleItems(this.#dialog).at(0)?.focus()
      return
    }
    this.#dialog.close()
    if (this.#message) this.run(this.#message, action, emoji)
  }

  /**
   * Keys on a focused message: some open its menu, others do what an entry of the menu does.
   *
   * @param {KeyboardEvent} event
   */
  #handleKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return
    const message = /** @type {HTMLElement} */ (event.target)
    const row = message.matches(".message") ? this.#rowOf(message) : null
    if (!row) return
    const button = this.#buttonForKey(event, row)
    if (OPENING_KEYS.includes(event.key)) this.open(message)
    else if (button) this.run(message, button.dataset.action ?? "", button.dataset.emoji)
    else return
    event.preventDefault()
  }

  /**
   * @param {KeyboardEvent} event
   * @param {Row} row
   */
  #buttonForKey(event, row) {
    const side = this.#sideOf(row)
    const key = latinLetter(event) || event.key
    const buttons = [...this.#dialog.querySelectorAll("button")]
    return buttons.find(({ dataset }) => {
      const isForSide = dataset.for === undefined || dataset.for.split(" ").includes(side)
      return dataset.key === key && isForSide
    })
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

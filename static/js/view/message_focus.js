// The keyboard focus among the messages. The list has one tab stop, the current message (a roving
// tabindex); arrow keys move between messages, and Tab goes through what is inside the current one.

import { isScrolledIntoView } from "./dom.js"

/** Programs too, so that the keyboard can scroll them. */
const HAS_TAB_STOP = "a[href], button, .fence"
/** The menu of a message does the same, and the keyboard opens it without its button. */
const HAS_NO_TAB_STOP = ".message__link, .message__actions"

export class MessageFocus {
  #log
  #goToLatest
  /** @type {HTMLElement | null} */
  #current = null

  /**
   * @param {HTMLElement} log contains the messages
   * @param {{ goToLatest: () => void }} navigation
   */
  constructor(log, { goToLatest }) {
    this.#log = log
    this.#goToLatest = goToLatest
    log.tabIndex = -1 // without scripts it is the tab stop
    for (const message of this.#messages()) setTabStop(message, false)
    this.#setCurrent(this.#visibleMessages().at(-1) ?? null)
    log.addEventListener("focusin", ({ target }) =>
      this.#handleFocus(/** @type {Element} */ (target)),
    )
    log.addEventListener("focusout", ({ target }) => removeLabel(/** @type {Element} */ (target)))
    log.addEventListener("keydown", (event) => this.#handleKey(event))
    addEventListener("keydown", (event) => this.#handleTab(event), { capture: true })
    const changes = { childList: true, characterData: true, subtree: true }
    new MutationObserver((records) => this.#handleChanges(records)).observe(log, changes)
    if (log.contains(document.activeElement)) {
      this.#handleFocus(/** @type {Element} */ (document.activeElement))
    }
  }

  /** What takes the focus when the keyboard enters the messages. */
  get entry() {
    this.#updateCurrent()
    return this.#current ?? this.#log
  }

  // The tab stop

  /**
   * Tab enters the list at the current message. If that is not on the screen, it would scroll the
   * list: the last one that is becomes the current message.
   */
  #updateCurrent() {
    if (this.#log.contains(document.activeElement)) return
    const isOnScreen = (/** @type {Element} */ message) => isScrolledIntoView(message, this.#log)
    if (this.#current?.checkVisibility() && isOnScreen(this.#current)) return
    const visible = this.#visibleMessages()
    this.#setCurrent(visible.findLast(isOnScreen) ?? visible.at(-1) ?? null)
  }

  /** @param {HTMLElement | null} message */
  #setCurrent(message) {
    if (message === this.#current) return
    if (this.#current) setTabStop(this.#current, false)
    this.#current = message
    if (message) setTabStop(message, true)
  }

  /** @param {KeyboardEvent} event */
  #handleTab({ key }) {
    if (key === "Tab") this.#updateCurrent()
  }

  /** @param {Element} target */
  #handleFocus(target) {
    const message = /** @type {HTMLElement | null} */ (target.closest(".message"))
    if (!message) return
    this.#setCurrent(message)
    if (target === message) labelMessage(message)
  }

  /** @param {MutationRecord[]} records */
  #handleChanges(records) {
    for (const { target, addedNodes } of records) {
      const isCurrent = this.#current?.contains(target) ?? false
      const elements = [...addedNodes].filter((node) => node instanceof Element)
      for (const element of elements) setTabStops(element, isCurrent)
    }
    if (!this.#current?.isConnected) this.#setCurrent(this.#visibleMessages().at(-1) ?? null)
    if (this.#current && this.#current === document.activeElement) labelMessage(this.#current)
  }

  // Keys

  /** @param {KeyboardEvent} event */
  #handleKey(event) {
    if (event.ctrlKey || event.altKey || event.metaKey || event.shiftKey) return
    const target = /** @type {HTMLElement} */ (event.target)
    if (target !== this.#log && !target.matches(".message, .message *")) return
    const messages = this.#visibleMessages()
    const current = messages.findIndex((message) => message.contains(target))
    const next = nextIndex(event.key, current)
    if (next === undefined) return
    event.preventDefault()
    const isEnd = event.key === "End"
    if (isEnd) this.#goToLatest()
    messages.at(next)?.focus({ preventScroll: isEnd })
  }

  #messages() {
    return /** @type {HTMLElement[]} */ ([...this.#log.querySelectorAll(".message")])
  }

  #visibleMessages() {
    return this.#messages().filter((message) => message.checkVisibility())
  }
}

/**
 * @param {string} key
 * @param {number} current -1 when no message has the focus
 * @returns {number | undefined} -1 for the last message; undefined for other keys
 */
function nextIndex(key, current) {
  if (key === "Home") return 0
  if (key === "End") return -1
  if (key !== "ArrowUp" && key !== "ArrowDown") return undefined
  if (current < 0) return -1
  return key === "ArrowUp" ? Math.max(current - 1, 0) : current + 1
}

/**
 * @param {HTMLElement} message
 * @param {boolean} isCurrent
 */
function setTabStop(message, isCurrent) {
  message.tabIndex = isCurrent ? 0 : -1
  setTabStops(message, isCurrent)
}

/**
 * Sets the tab stops of an element and of what is inside it.
 *
 * @param {Element} element
 * @param {boolean} isCurrent whether it is in the current message
 */
function setTabStops(element, isCurrent) {
  const inside = element.querySelectorAll(HAS_TAB_STOP)
  for (const each of /** @type {HTMLElement[]} */ ([element, ...inside])) {
    if (!each.matches(HAS_TAB_STOP)) continue
    each.tabIndex = isCurrent && !each.matches(HAS_NO_TAB_STOP) ? 0 : -1
  }
}

/**
 * Gives a message one name for screen readers while it has the focus.
 *
 * @param {HTMLElement} message
 */
function labelMessage(message) {
  const parts = ["name", "time", "text", "note"].map((name) => {
    return message.querySelector(`.message__${name}`)?.textContent?.trim() ?? ""
  })
  if (message.hasAttribute("data-mentions-me")) parts.push("mentions you")
  message.ariaLabel = parts.filter((part) => part !== "").join(", ")
}

/** @param {Element} element */
function removeLabel(element) {
  if (element.matches(".message")) element.removeAttribute("aria-label")
}

// Keeps the scroll position of the messages: at the end it follows, elsewhere what is read does not
// move.

import { isScrolledIntoView } from "./dom.js"

/** @import { ScrollPosition } from "./scroll_memory.js" */

const AT_END_PX = 100
const LOAD_AHEAD_PX = 600
const SCROLL_END_MS = 150
const FAR_FROM_END_SCREENS = 2

/**
 * Dispatches `moved`; `nearbeginning` and `nearend` when scrolling has stopped near the first or
 * last loaded message.
 */
export class Scroller extends EventTarget {
  #log
  #latestButton
  #isLatestLoaded
  /** New messages that the reader has not scrolled to. */
  #newCount = 0
  /** Whether the newest message was loaded when the position was last updated. */
  #wasLatestLoaded = true
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #scrollEndTimer

  /**
   * @param {HTMLElement} log laid out from its end: scrollTop is 0 there and negative above
   * @param {HTMLElement} latestButton
   * @param {() => boolean} isLatestLoaded whether the newest message of the room is loaded
   */
  constructor(log, latestButton, isLatestLoaded) {
    super()
    this.#log = log
    this.#latestButton = latestButton
    this.#isLatestLoaded = isLatestLoaded
    log.addEventListener("scroll", () => this.#handleScroll(), { passive: true })
  }

  /** Whether the reader is at the newest message, as far as it is drawn already. */
  get isAtEnd() {
    return this.#log.scrollTop > -AT_END_PX && this.#wasLatestLoaded
  }

  /** Whether the loaded messages do not fill the visible part. */
  get hasSpace() {
    return this.#log.scrollHeight <= this.#log.clientHeight
  }

  /** @returns {ScrollPosition} */
  get position() {
    const first = this.isAtEnd ? undefined : this.#visibleMessages().find(hasSeq)
    if (!first) return { seq: 0, top: 0 }
    const top = first.top - this.#log.getBoundingClientRect().top
    return { seq: Number(first.message.dataset.seq), top }
  }

  /**
   * Changes the messages without moving what is being read.
   *
   * @param {() => void} change
   */
  preservePosition(change) {
    const isFollowing = this.isAtEnd
    const visible = isFollowing ? [] : this.#visibleMessages()
    change()
    if (isFollowing) {
      this.#log.scrollTop = 0
    } else {
      const anchor = visible.find(({ message }) => message.isConnected)
      if (anchor) this.#scrollBy(anchor.message.getBoundingClientRect().top - anchor.top)
    }
    this.#update()
  }

  /** @param {number} count of new messages from other people */
  addNew(count) {
    if (!this.isAtEnd) this.#newCount += count
    this.#update()
  }

  scrollToEnd() {
    this.#log.scrollTop = 0
    this.#newCount = 0
    this.#update()
  }

  /** @param {Element} element */
  scrollTo(element) {
    element.scrollIntoView({ block: "center" })
    this.#update()
  }

  /**
   * @param {Element} element
   * @param {number} top its distance from the upper edge afterwards, in pixels
   */
  scrollToOffset(element, top) {
    const currentTop = element.getBoundingClientRect().top - this.#log.getBoundingClientRect().top
    this.#log.scrollTop += currentTop - top
    this.#update()
  }

  /**
   * Whether an element is in the visible part.
   *
   * @param {Element} element
   */
  isVisible(element) {
    return isScrolledIntoView(element, this.#log)
  }

  /**
   * Whether an element is above the visible part.
   *
   * @param {Element} element
   */
  isAbove(element) {
    return element.getBoundingClientRect().bottom < this.#log.getBoundingClientRect().top
  }

  #update() {
    this.#wasLatestLoaded = this.#isLatestLoaded()
    if (this.isAtEnd) this.#newCount = 0
    const farPx = this.#log.clientHeight * FAR_FROM_END_SCREENS
    const isFar = -this.#log.scrollTop > farPx || !this.#isLatestLoaded()
    const isHidden = this.#newCount === 0 && !isFar
    if (isHidden && this.#latestButton === document.activeElement) this.#focusLog()
    this.#latestButton.hidden = isHidden
    const text = this.#newCount > 0 ? `${this.#newCount} new` : "Latest"
    if (this.#latestButton.textContent !== text) this.#latestButton.textContent = text
  }

  /** The focus must not fall to the body of the page when the button disappears. */
  #focusLog() {
    this.#log.focus({ preventScroll: true })
  }

  /** @param {number} distancePx */
  #scrollBy(distancePx) {
    if (distancePx === 0) return
    const { style } = this.#log
    if (matchMedia("(pointer: coarse)").matches) {
      // Ends momentum scrolling, which would overwrite the position.
      style.overflow = "hidden"
      requestAnimationFrame(() => {
        style.overflow = ""
      })
    }
    this.#log.scrollTop += distancePx
  }

  #handleScroll() {
    this.#update()
    this.dispatchEvent(new Event("moved"))
    clearTimeout(this.#scrollEndTimer)
    this.#scrollEndTimer = setTimeout(() => this.#handleScrollEnd(), SCROLL_END_MS)
  }

  #handleScrollEnd() {
    const { scrollHeight, clientHeight, scrollTop } = this.#log
    const isNearBeginning = scrollHeight - clientHeight + scrollTop <= LOAD_AHEAD_PX
    const isNearEnd = scrollTop >= -LOAD_AHEAD_PX && !this.#isLatestLoaded()
    if (isNearBeginning) this.dispatchEvent(new Event("nearbeginning"))
    else if (isNearEnd) this.dispatchEvent(new Event("nearend"))
  }

  /** @returns {{ message: HTMLElement, top: number }[]} */
  #visibleMessages() {
    const { top, bottom } = this.#log.getBoundingClientRect()
    const visible = []
    for (const message of /** @type {NodeListOf<HTMLElement>} */ (
      this.#log.querySelectorAll(".message")
    )) {
      const box = message.getBoundingClientRect()
      if (box.bottom > top && box.top < bottom) visible.push({ message, top: box.top })
    }
    return visible
  }
}

/** @param {{ message: HTMLElement }} visible */
function hasSeq({ message }) {
  return message.dataset.seq !== undefined
}

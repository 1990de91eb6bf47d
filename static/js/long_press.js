// Recognizes a long press: a finger that rests on an element.

const LONG_PRESS_MS = 500
const MAX_MOVE_PX = 10
const ENDS_PRESS = ["pointerup", "pointercancel", "pointerdown"] // scrolling cancels the pointer

/**
 * A long press opens something while the finger is still on the screen. The rest of that touch must not reach what has
 * opened: a browser closes a popover when a pointer that went down outside it comes up outside it, and after the touch
 * it clicks whatever lies under the finger by then.
 */
export class LongPress {
  #accepts
  #open
  /** @type {AbortController | null} aborted when the press ends, as long as it is not a long press */ #pending = null
  #recognized = false // the touch under way, or the last one, was a long press

  /**
   * @param {HTMLElement} area
   * @param {{ accepts: (target: Element) => boolean, open: (target: Element) => HTMLElement | null }} handlers
   *   `accepts`: whether a press there may become a long press; `open`: returns what has opened, if anything has
   */
  constructor(area, { accepts, open }) {
    this.#accepts = accepts
    this.#open = open
    area.addEventListener("pointerdown", (event) => this.#start(event))
    area.addEventListener("touchend", this.#preventClick)
    area.addEventListener("contextmenu", (event) => this.#suppressContextMenu(event))
  }

  /** @param {PointerEvent} event */
  #start(event) {
    if (!event.isPrimary) return // another finger, while the first is on the screen
    this.#recognized = false
    const target = /** @type {Element} */ (event.target)
    if (event.pointerType !== "touch" || !this.#accepts(target)) return
    target.addEventListener("touchend", this.#preventClick) // which does not reach the area if the target is removed meanwhile
    const pending = new AbortController()
    const { signal } = pending
    const end = () => pending.abort()
    const timer = setTimeout(() => this.#recognize(event, target), LONG_PRESS_MS)
    signal.addEventListener("abort", () => {
      clearTimeout(timer)
      this.#pending = null
    })
    for (const type of ENDS_PRESS) addEventListener(type, end, { signal, capture: true })
    addEventListener("pointermove", (moved) => distance(event, moved) > MAX_MOVE_PX && end(), { signal })
    this.#pending = pending
  }

  /** @param {PointerEvent} event the one that began the press @param {Element} target */
  #recognize({ pointerId }, target) {
    this.#pending?.abort()
    const opened = this.#open(target)
    if (!opened) return
    this.#recognized = true
    opened.setPointerCapture(pointerId) // so that the pointer comes up inside what has opened
  }

  /** No click follows a touch whose end is cancelled. @param {Event} event */
  #preventClick = (event) => {
    if (this.#recognized && event.cancelable) event.preventDefault()
  }

  /** Some systems show a context menu for a long press; a mouse and the keyboard keep theirs. @param {Event} event */
  #suppressContextMenu(event) {
    if (this.#pending || this.#recognized) event.preventDefault()
  }
}

/** @param {PointerEvent} from @param {PointerEvent} to */
const distance = (from, to) => Math.hypot(to.clientX - from.clientX, to.clientY - from.clientY)

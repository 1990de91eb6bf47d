// Recognizes a long press: a finger that rests on an element.

import { distance } from "../lib/geometry.js"

const LONG_PRESS_MS = 500
const MAX_MOVE_PX = 10
const ENDING_EVENTS = ["pointerup", "pointercancel", "pointerdown"] // scrolling cancels the pointer

/**
 * A long press opens something while the finger is still on the screen. The rest of that touch
 * must not reach what has opened: afterwards a browser clicks whatever is under the finger by then.
 */
export class LongPress {
  #accepts
  #open
  /** @type {AbortController | null} aborted when the touch ends before it is a long press */
  #pending = null
  /** Whether the current touch, or the last one, was a long press. */
  #isRecognized = false

  /**
   * @param {HTMLElement} area
   * @param {object} handlers
   * @param {(target: Element) => boolean} handlers.accepts whether a touch there may become a long
   *   press
   * @param {(target: Element) => boolean} handlers.open returns whether it has opened something
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
    this.#isRecognized = false
    const target = /** @type {Element} */ (event.target)
    if (event.pointerType !== "touch" || !this.#accepts(target)) return
    // The event does not reach the area if the target is removed during the touch.
    target.addEventListener("touchend", this.#preventClick)
    const timer = setTimeout(() => this.#recognize(target), LONG_PRESS_MS)
    this.#pending = this.#trackTouch(event, () => {
      clearTimeout(timer)
      this.#pending = null
    })
  }

  /**
   * Calls `onEnd` when the touch ends, moves, or is aborted by the returned controller.
   *
   * @param {PointerEvent} start
   * @param {() => void} onEnd
   */
  #trackTouch(start, onEnd) {
    const tracking = new AbortController()
    const { signal } = tracking
    signal.addEventListener("abort", onEnd)
    for (const type of ENDING_EVENTS) {
      addEventListener(type, () => tracking.abort(), { signal, capture: true })
    }
    const handleMove = (/** @type {PointerEvent} */ event) => {
      if (distance(start, event) > MAX_MOVE_PX) tracking.abort()
    }
    addEventListener("pointermove", handleMove, { signal })
    return tracking
  }

  /** @param {Element} target */
  #recognize(target) {
    this.#pending?.abort()
    this.#isRecognized = this.#open(target)
  }

  /**
   * No click follows a touch whose end is cancelled.
   *
   * @param {Event} event
   */
  #preventClick = (event) => {
    if (this.#isRecognized && event.cancelable) event.preventDefault()
  }

  /**
   * Some systems show a context menu after a long press; the mouse and the keyboard keep theirs.
   *
   * @param {Event & { pointerType?: string }} event browsers that do not say what caused it leave
   *   `pointerType` out
   */
  #suppressContextMenu(event) {
    const { pointerType = "touch" } = event
    if (pointerType !== "touch") return
    if (this.#pending || this.#isRecognized) event.preventDefault()
  }
}

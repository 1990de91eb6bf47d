// Shows who is typing, and limits how often this page reports that its own person is.

/** @import { Clock } from "../lib/clock.js" */

const DISPLAY_MS = 5000
const SEND_INTERVAL_MS = 3000
const MAX_PEOPLE = 50 // in a larger room nobody reports typing

export class TypingIndicator {
  /**
   * Who is typing, by mark.
   *
   * @type {Map<string, { handle: string, cancelTimeout: () => void }>}
   */
  #typing = new Map()
  #element
  #clock
  #lastSentAt = -Infinity

  /**
   * @param {HTMLElement} element of a fixed height
   * @param {Clock} clock
   */
  constructor(element, clock) {
    this.#element = element
    this.#clock = clock
  }

  /**
   * Shows that somebody is typing. A lost report that they have stopped does no harm: it expires.
   *
   * @param {{ mark: string, handle: string }} person
   */
  show({ mark, handle }) {
    this.hide(mark)
    const cancelTimeout = this.#clock.schedule(DISPLAY_MS, () => this.hide(mark))
    this.#typing.set(mark, { handle, cancelTimeout })
    this.#update()
  }

  /** @param {string} mark */
  hide(mark) {
    const person = this.#typing.get(mark)
    if (!person) return
    person.cancelTimeout()
    this.#typing.delete(mark)
    this.#update()
  }

  /**
   * Whether to report now that this person is typing; true at most once in an interval.
   *
   * @param {number} peopleCount how many people are in the room
   */
  shouldSend(peopleCount) {
    const now = this.#clock.now()
    if (peopleCount > MAX_PEOPLE) return false
    if (now - this.#lastSentAt < SEND_INTERVAL_MS) return false
    this.#lastSentAt = now
    return true
  }

  #update() {
    const handles = [...this.#typing.values()].map(({ handle }) => handle)
    this.#element.textContent = typingSentence(handles)
  }
}

/** @param {string[]} handles */
export function typingSentence(handles) {
  if (handles.length === 0) return ""
  if (handles.length === 1) return `${handles[0]} is typing`
  if (handles.length === 2) return `${handles[0]} and ${handles[1]} are typing`
  return `${handles[0]} and ${handles.length - 1} others are typing`
}

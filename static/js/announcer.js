// What the reader is told in passing: what is new is read out, and sentences are shown that go away by themselves.

import { truncate } from "./text.js"

/** @import { Clock } from "./clock.js" */
/** @import { Row } from "./wire.js" */

const TOGETHER_MS = 300
const EACH = 3
const MAX_CHARACTERS = 300
const KEPT_MS = 20_000
const SHOWN_MS = 6000

/** Each message once, and never the history; too much at once becomes a number. */
export class Announcer {
  #place
  #clock
  /** @type {string[]} */ #waiting = []

  /** @param {HTMLElement} place a live region nobody sees @param {Clock} clock */
  constructor(place, clock) {
    this.#place = place
    this.#clock = clock
  }

  /** @param {Row[]} rows */
  heard(rows) {
    if (rows.length && !this.#waiting.length) this.#clock.later(TOGETHER_MS, () => this.#readOut())
    this.#waiting.push(...rows.map(({ handle, message }) => `${handle}: ${truncate(message, MAX_CHARACTERS)}`))
  }

  /** @param {string} words */
  say(words) {
    const line = document.createElement("p")
    line.textContent = words
    this.#place.append(line)
    this.#clock.later(KEPT_MS, () => line.remove())
  }

  #readOut() {
    const waiting = this.#waiting.splice(0)
    if (waiting.length > EACH) this.say(`${waiting.length} new messages`)
    else for (const words of waiting) this.say(words)
  }
}

/** One sentence at a time. @param {HTMLElement} place @returns {(words: string) => void} */
export function noticeIn(place) {
  let timer = 0
  return (words) => {
    place.textContent = words
    clearTimeout(timer)
    timer = setTimeout(() => (place.textContent = ""), SHOWN_MS)
  }
}

// Shows beside the composer how long messages wait, when they are sent faster than the server
// accepts them.

import { formatCount } from "../lib/text.js"

/** @import { Clock } from "../lib/clock.js" */
/** @import { Outbox } from "../state/outbox.js" */
/** @typedef {Pick<Outbox, "queuedCount" | "queuedMessageCount" | "waitsUntil">} OutboxState */

const ANNOUNCEMENT = "You're sending faster than allowed. Your messages will be sent automatically."

export class SendCountdown {
  #element
  #clock
  #outbox
  #announce
  #isConnected
  #isShown = false
  #cancelTimer = () => {}

  /**
   * @param {HTMLElement} element of a fixed height; screen readers ignore it
   * @param {object} dependencies
   * @param {Clock} dependencies.clock
   * @param {OutboxState} dependencies.outbox
   * @param {(text: string) => void} dependencies.announce reads a text out
   * @param {() => boolean} dependencies.isConnected
   */
  constructor(element, { clock, outbox, announce, isConnected }) {
    this.#element = element
    this.#clock = clock
    this.#outbox = outbox
    this.#announce = announce
    this.#isConnected = isConnected
  }

  /** Call it when the outbox or the connection has changed. */
  update() {
    this.#cancelTimer()
    const waitMs = this.#outbox.waitsUntil - this.#clock.now()
    if (this.#outbox.queuedCount === 0 || !this.#isConnected()) this.#hide()
    else if (waitMs > 0) this.#showWait(waitMs)
    // The text stays until the answer comes: another wait may follow, and the text must not blink.
    else if (this.#isShown) this.#element.textContent = "Sending…"
  }

  #hide() {
    this.#isShown = false
    this.#element.textContent = ""
  }

  /** @param {number} waitMs */
  #showWait(waitMs) {
    // Once, and not every second.
    if (!this.#isShown) this.#announce(ANNOUNCEMENT)
    this.#isShown = true
    const seconds = Math.ceil(waitMs / 1000)
    const count = this.#outbox.queuedMessageCount
    this.#element.textContent =
      count > 1
        ? `${formatCount(count, "message")} waiting, next in ${seconds} s`
        : `Sending in ${seconds} s`
    const untilNextSecondMs = waitMs - (seconds - 1) * 1000
    this.#cancelTimer = this.#clock.schedule(untilNextSecondMs, () => this.update())
  }
}

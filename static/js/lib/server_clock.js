// Estimates the time of the server, whatever the clock of this computer shows.

/** @import { Clock } from "./clock.js" */

export class ServerClock {
  #clock
  /** How far the clock of this computer is ahead of the server's, in milliseconds. */
  #aheadMs = Infinity

  /** @param {Pick<Clock, "now">} clock of this computer */
  constructor(clock) {
    this.#clock = clock
  }

  /**
   * Takes into account a time that the server has written. It has passed already, so of several
   * differences between the clocks the smallest is the best.
   *
   * @param {string} timestamp
   * @param {number} [receivedAt] when it came, by the clock of this computer
   */
  observe(timestamp, receivedAt = this.#clock.now()) {
    this.#aheadMs = Math.min(this.#aheadMs, receivedAt - Date.parse(timestamp))
  }

  /** Milliseconds since 1970. */
  now() {
    const aheadMs = Number.isFinite(this.#aheadMs) ? this.#aheadMs : 0
    return this.#clock.now() - aheadMs
  }
}

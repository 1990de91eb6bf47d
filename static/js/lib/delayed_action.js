// Does something after a few seconds, in which it can be canceled.

/** @import { Clock } from "./clock.js" */

export class DelayedAction {
  #work
  #isOpen = true
  #cancelTimer

  /**
   * @param {() => void} work
   * @param {number} delayMs
   * @param {Pick<Clock, "schedule">} clock
   */
  constructor(work, delayMs, clock) {
    this.#work = work
    this.#cancelTimer = clock.schedule(delayMs, () => this.runNow())
  }

  /** Does it at once, unless it is done or canceled. */
  runNow() {
    if (!this.#isOpen) return
    this.cancel()
    this.#work()
  }

  cancel() {
    this.#isOpen = false
    this.#cancelTimer()
  }
}

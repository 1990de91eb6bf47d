// Shows when the connection is lost for long enough to matter, and when it is back.

import { formatCount } from "../lib/text.js"

/** @import { Clock } from "../lib/clock.js" */
/** @import { RoomState } from "../net/room_session.js" */
/** @import { Outbox } from "../state/outbox.js" */

const SHOW_CONNECTING_AFTER_MS = 2000
const SHOW_OFFLINE_AFTER_MS = 10_000
const RECONNECTED_DISPLAY_MS = 1500

export class ConnectionStatus {
  #element
  #text
  #retryButton
  #clock
  #outbox
  #isOfflineShown = false
  #wasJoined = false
  /** @type {(() => void)[]} */
  #cancelTimers = []

  /**
   * @param {HTMLElement} element
   * @param {object} dependencies
   * @param {Clock} dependencies.clock
   * @param {Pick<Outbox, "queuedMessageCount" | "isPersisted">} dependencies.outbox
   * @param {() => void} dependencies.retryNow
   */
  constructor(element, { clock, outbox, retryNow }) {
    this.#element = element
    this.#text = /** @type {HTMLElement} */ (element.querySelector(".connection__text"))
    this.#retryButton = /** @type {HTMLElement} */ (element.querySelector("button"))
    this.#clock = clock
    this.#outbox = outbox
    this.#retryButton.addEventListener("click", retryNow)
  }

  /**
   * @param {RoomState} state
   * @param {string} [refusalReason]
   */
  showState(state, refusalReason = "") {
    for (const cancel of this.#cancelTimers.splice(0)) cancel()
    this.#isOfflineShown = false
    if (state === "joined") this.#showReconnected()
    else if (state === "connecting") this.#showDisconnectedLater()
    else if (state === "refused") this.#show("offline", refusalReason)
    else this.#show("closed", refusalReason)
  }

  /** Call it when the number of queued messages has changed. */
  updateCount() {
    if (this.#isOfflineShown) this.#showOffline()
  }

  #showReconnected() {
    this.#wasJoined = true
    if (this.#element.dataset.state === "hidden") return
    this.#show("reconnected", "Back online")
    this.#schedule(RECONNECTED_DISPLAY_MS, () => this.#show("hidden", ""))
  }

  #showDisconnectedLater() {
    const text = this.#wasJoined ? "Reconnecting…" : "Connecting…"
    this.#schedule(SHOW_CONNECTING_AFTER_MS, () => this.#show("connecting", text))
    this.#schedule(SHOW_OFFLINE_AFTER_MS, () => this.#showOffline())
  }

  #showOffline() {
    this.#isOfflineShown = true
    const { queuedMessageCount: count, isPersisted } = this.#outbox
    const subject = count === 0 ? "Messages" : formatCount(count, "message")
    const text = `You're offline. ${subject} will be sent when you're back online.`
    const warning = "Keep this page open: your browser can't save unsent messages."
    this.#show("offline", isPersisted ? text : `${text} ${warning}`)
  }

  /**
   * @param {number} delayMs
   * @param {() => void} work
   */
  #schedule(delayMs, work) {
    this.#cancelTimers.push(this.#clock.schedule(delayMs, work))
  }

  /**
   * @param {"hidden" | "connecting" | "offline" | "reconnected" | "closed"} state
   * @param {string} text
   */
  #show(state, text) {
    this.#text.textContent = text
    this.#element.dataset.state = state
    this.#retryButton.hidden = state !== "offline"
  }
}

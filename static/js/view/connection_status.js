// Shows when the connection is lost for long enough to matter, and when it is back.

import { formatCount } from "../lib/text.js"

/** @import { Clock } from "../lib/clock.js" */
/** @import { RoomState } from "../net/room_session.js" */
/** @import { Outbox } from "../state/outbox.js" */

const SHOW_CONNECTING_AFTER_MS = 2000
const SHOW_OFFLINE_AFTER_MS = 10_000
const RECONNECTED_DISPLAY_MS = 1500
const TRY_NOW = "Try now"
const REJOIN = "Rejoin"
const MAY_REJOIN = "You can come back to this room now."

export class ConnectionStatus {
  #element
  #text
  #retryButton
  #clock
  #outbox
  #rejoin
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
   * @param {() => void} dependencies.rejoin enters the room again that had removed this person
   */
  constructor(element, { clock, outbox, retryNow, rejoin }) {
    this.#element = element
    this.#text = /** @type {HTMLElement} */ (element.querySelector(".connection__text"))
    this.#retryButton = /** @type {HTMLElement} */ (element.querySelector("button"))
    this.#clock = clock
    this.#outbox = outbox
    this.#rejoin = rejoin
    this.#retryButton.addEventListener("click", () => {
      if (this.#element.dataset.state === "closed") this.#rejoin()
      else retryNow()
    })
  }

  /**
   * @param {RoomState} state
   * @param {string} [refusalReason]
   * @param {number} [rejoinAt] when a closed room can be entered again, in milliseconds since 1970;
   *   0: never
   */
  showState(state, refusalReason = "", rejoinAt = 0) {
    for (const cancel of this.#cancelTimers.splice(0)) cancel()
    this.#isOfflineShown = false
    if (state === "joined") this.#showReconnected()
    else if (state === "connecting") this.#showDisconnectedLater()
    else if (state === "refused") this.#show("offline", refusalReason)
    else this.#showClosed(refusalReason, rejoinAt)
  }

  /**
   * @param {string} reason
   * @param {number} rejoinAt
   */
  #showClosed(reason, rejoinAt) {
    this.#show("closed", reason)
    if (rejoinAt === 0) return
    this.#schedule(Math.max(0, rejoinAt - this.#clock.now()), () => {
      this.#show("closed", MAY_REJOIN)
      this.#retryButton.hidden = false
    })
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
    this.#retryButton.textContent = state === "closed" ? REJOIN : TRY_NOW
  }
}

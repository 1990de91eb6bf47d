// Tells honestly, and only when it matters, that the line is down.

/** @import { Clock } from "./clock.js" */
/** @import { Outbox } from "./outbox.js" */
/** @import { State } from "./room.js" */

const QUIET_MS = 2000
const OFFLINE_MS = 10_000
const BACK_MS = 1500

export class Connection {
  #place
  #words
  #button
  #clock
  #outbox
  #offline = false
  #been = false // here, at least once
  /** @type {(() => void)[]} */ #callOff = []

  /** @param {HTMLElement} place @param {{ clock: Clock, outbox: Pick<Outbox, "waiting" | "kept">, tryNow: () => void }} parts */
  constructor(place, { clock, outbox, tryNow }) {
    this.#place = place
    this.#words = /** @type {HTMLElement} */ (place.querySelector(".connection__words"))
    this.#button = /** @type {HTMLElement} */ (place.querySelector("button"))
    this.#clock = clock
    this.#outbox = outbox
    this.#button.addEventListener("click", tryNow)
  }

  /** @param {State} state @param {string} [reason] */
  tell(state, reason = "") {
    for (const callOff of this.#callOff.splice(0)) callOff()
    this.#offline = false
    this.#been ||= state === "here"
    if (state === "here") this.#back()
    else if (state === "gone") this.#show("gone", reason)
    else {
      this.#callOff = [
        this.#clock.later(QUIET_MS, () => this.#show("trying", this.#been ? "Reconnecting…" : "Connecting…")),
        this.#clock.later(OFFLINE_MS, () => this.#showOffline()),
      ]
    }
  }

  /** The number of waiting messages is another one. */
  update() {
    if (this.#offline) this.#showOffline()
  }

  #back() {
    if (this.#place.dataset.state === "quiet") return
    this.#show("back", "Connected again")
    this.#callOff = [this.#clock.later(BACK_MS, () => this.#show("quiet", ""))]
  }

  #showOffline() {
    this.#offline = true
    const { waiting, kept } = this.#outbox
    const what = waiting === 0 ? "What you write" : waiting === 1 ? "1 message" : `${waiting} messages`
    const unless = kept ? "" : " Keep this page open: this browser has no room to remember them."
    this.#show("offline", `Offline: ${what} will be sent when you are back.${unless}`)
  }

  /** @param {string} state @param {string} words */
  #show(state, words) {
    this.#place.dataset.state = state
    this.#words.textContent = words
    this.#button.hidden = state !== "offline"
  }
}

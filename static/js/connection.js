// Tells honestly, and only when it matters, that the line is down; and notices when it is worth trying at once.

import { counted } from "./text.js"

/** @import { Clock } from "./clock.js" */
/** @import { Outbox } from "./outbox.js" */
/** @import { State } from "./room.js" */

const QUIET_MS = 2000
const OFFLINE_MS = 10_000
const BACK_MS = 1500
const HIDDEN_MS = 60_000
const TICK_MS = 5000
const JUMP_MS = 30_000

export class Connection {
  #place
  #button
  #parts
  #offline = false
  #been = false // here, at least once
  /** @type {(() => void)[]} */ #callOff = []

  /** @param {HTMLElement} place @param {{ clock: Clock, outbox: Pick<Outbox, "waiting" | "kept">, tryNow: () => void }} parts */
  constructor(place, parts) {
    this.#place = place
    this.#parts = parts
    this.#button = /** @type {HTMLElement} */ (place.querySelector("button"))
    this.#button.addEventListener("click", parts.tryNow)
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
        this.#parts.clock.later(QUIET_MS, () => this.#show("trying", this.#been ? "Reconnecting…" : "Connecting…")),
        this.#parts.clock.later(OFFLINE_MS, () => this.#showOffline()),
      ]
    }
  }

  /** The number of waiting messages is another one. */
  update = () => this.#offline && this.#showOffline()

  #back() {
    if (this.#place.dataset.state === "quiet") return
    this.#show("back", "Connected again")
    this.#callOff = [this.#parts.clock.later(BACK_MS, () => this.#show("quiet", ""))]
  }

  #showOffline() {
    this.#offline = true
    const { waiting, kept } = this.#parts.outbox
    const what = waiting === 0 ? "What you write" : counted(waiting, "message")
    const unless = kept ? "" : " Keep this page open: this browser has no room to remember them."
    this.#show("offline", `Offline: ${what} will be sent when you are back.${unless}`)
  }

  /** @param {string} state @param {string} words */
  #show(state, words) {
    const [line] = this.#place.children
    line.textContent = words
    this.#place.dataset.state = state
    this.#button.hidden = state !== "offline"
  }
}

/**
 * The network is back, the page is looked at again, or the computer has slept:
 * `again` when somebody is looking again, `probe` when the line may have died without a word.
 * @param {{ clock: Clock, view?: EventTarget, page?: EventTarget & { visibilityState: string } }} parts
 * @param {{ again: () => void, probe: () => void }} tries
 */
export function onWaking({ clock, view = window, page = document }, { again, probe }) {
  const visible = () => page.visibilityState === "visible"
  let hidden = visible() ? Infinity : clock.now() // since when
  let ticked = clock.now()

  view.addEventListener("online", probe)
  page.addEventListener("visibilitychange", () => {
    const slept = clock.now() - hidden > HIDDEN_MS
    hidden = visible() ? Infinity : clock.now()
    if (visible()) (slept ? probe : again)()
  })

  clock.later(TICK_MS, function tick() {
    const late = clock.now() - ticked - TICK_MS
    ticked = clock.now()
    if (late > JUMP_MS && visible()) probe() // a hidden page's timers are slow anyway
    clock.later(TICK_MS, tick)
  })
}

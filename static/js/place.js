// Where the reader is, kept in the browser's history: going back to this page, or loading it again, goes back there.

/** @import { Clock } from "./clock.js" */
/** @import { Scroll } from "./scroll.js" */

const REST_MS = 200

/** @typedef {{ seq: number, top: number }} Place a message, and how far below the upper edge it is; 0 is the end */

/** @returns {Place | null} where the reader was when this page was left */
export function keptPlace() {
  const { seq, top } = history.state ?? {}
  return Number.isFinite(seq) && Number.isFinite(top) ? { seq, top } : null
}

/** @param {Scroll} scroll @param {Clock} clock */
export function keepPlace(scroll, clock) {
  const keep = () => history.replaceState(scroll.place, "")
  let callOff = () => {}
  scroll.addEventListener("moved", () => {
    callOff()
    callOff = clock.later(REST_MS, keep)
  })
  addEventListener("pagehide", keep)
}

// Remembers the scroll position in the browser's history: reload and Back return to it.

/** @import { Clock } from "../lib/clock.js" */
/** @import { Scroller } from "./scroller.js" */

/**
 * @typedef {object} ScrollPosition
 * @property {number} seq the first visible message; 0 at the end of the messages
 * @property {number} top its distance from the upper edge, in pixels
 */

const SAVE_DELAY_MS = 200

/** @returns {ScrollPosition | null} the position when this page was left */
export function savedPosition() {
  const { seq, top } = history.state ?? {}
  if (!Number.isFinite(seq) || !Number.isFinite(top)) return null
  return { seq, top }
}

/**
 * @param {Scroller} scroller
 * @param {Clock} clock
 */
export function rememberPosition(scroller, clock) {
  const save = () => history.replaceState(scroller.position, "")
  let cancelSave = () => {}
  scroller.addEventListener("moved", () => {
    cancelSave()
    cancelSave = clock.schedule(SAVE_DELAY_MS, save)
  })
  addEventListener("pagehide", save)
}

// Time, timers and random numbers, passed to every module that needs them, so that tests can
// replace them.

/**
 * @typedef {object} Clock
 * @property {() => number} now milliseconds since 1970
 * @property {(delayMs: number, work: () => void) => () => void} schedule calls `work` after a
 *   delay; returns a function that cancels it
 * @property {() => number} random from 0 to 1, for jitter
 */

/** @type {Clock} */
export const clock = {
  now: () => Date.now(),
  schedule(delayMs, work) {
    const timer = setTimeout(work, delayMs)
    return () => clearTimeout(timer)
  },
  random: () => Math.random(),
}

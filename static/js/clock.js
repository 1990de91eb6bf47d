// The clock everybody is handed: the real one here, one turned by hand in the tests.

/**
 * @typedef {object} Clock
 * @property {() => number} now milliseconds since 1970
 * @property {(ms: number, work: () => void) => () => void} later does the work in a while; returns how to call it off
 * @property {() => number} random from 0 to 1, for jitter
 */

/** @type {Clock} */
export const clock = {
  now: () => Date.now(),
  later(ms, work) {
    const timer = setTimeout(work, ms)
    return () => clearTimeout(timer)
  },
  random: () => Math.random(),
}

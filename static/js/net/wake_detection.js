// Notices that the network is back, that the page is visible again, and that the computer has
// slept.

/** @import { Clock } from "../lib/clock.js" */

const LONG_HIDDEN_MS = 60_000
const SLEEP_CHECK_MS = 5000
const SLEEP_THRESHOLD_MS = 30_000

/**
 * @typedef {object} WakeHandlers
 * @property {() => void} onVisible the page is visible again, after a short time
 * @property {() => void} onWake the connection may have died without an event: the network has
 *   changed, the computer has slept, or the page was hidden for a long time
 */

/**
 * @param {{ clock: Clock, network?: EventTarget, page?: EventTarget & { visibilityState: string }
 *   }} sources
 * @param {WakeHandlers} handlers
 */
export function detectWake({ clock, network = window, page = document }, { onVisible, onWake }) {
  const isVisible = () => page.visibilityState === "visible"
  let hiddenSince = isVisible() ? Infinity : clock.now()
  let lastCheck = clock.now()

  function handleVisibilityChange() {
    const wasHiddenLong = clock.now() - hiddenSince > LONG_HIDDEN_MS
    hiddenSince = isVisible() ? Infinity : clock.now()
    if (!isVisible()) return
    if (wasHiddenLong) onWake()
    else onVisible()
  }

  function checkForSleep() {
    const delay = clock.now() - lastCheck - SLEEP_CHECK_MS
    lastCheck = clock.now()
    // Browsers slow down the timers of hidden pages, so there a delay means nothing.
    if (delay > SLEEP_THRESHOLD_MS && isVisible()) onWake()
    clock.schedule(SLEEP_CHECK_MS, checkForSleep)
  }

  network.addEventListener("online", onWake)
  page.addEventListener("visibilitychange", handleVisibilityChange)
  clock.schedule(SLEEP_CHECK_MS, checkForSleep)
}

// Notices when it is worth trying at once: the network is back, the page is looked at again, or the computer has slept.

/** @import { Clock } from "./clock.js" */

const HIDDEN_MS = 60_000
const TICK_MS = 5000
const JUMP_MS = 30_000

/**
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

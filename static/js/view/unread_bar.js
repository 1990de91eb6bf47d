// The button that goes to the first unread message, and says how many there are.

import { formatSince } from "../lib/time.js"

/** @import { Clock } from "../lib/clock.js" */
/** @import { UnreadSummary } from "../state/unread.js" */

const MAX_COUNT = 10_000 // the server counts no further

/**
 * "300 new since yesterday 23:10, 12 mention you"
 *
 * @param {UnreadSummary} summary
 * @param {number} now in milliseconds since 1970
 */
export function unreadText({ count, isExact, mentionCount, areMentionsComplete, since }, now) {
  const number = count < MAX_COUNT ? count.toLocaleString() : `${MAX_COUNT.toLocaleString()}+`
  const words = isExact || count >= MAX_COUNT ? `${number} new` : `Up to ${number} new`
  const time = since > 0 ? ` since ${formatSince(since, now)}` : ""
  if (mentionCount === 0) return words + time
  const atLeast = areMentionsComplete ? "" : "at least "
  const verb = mentionCount === 1 && areMentionsComplete ? "mentions" : "mention"
  return `${words}${time}, ${atLeast}${mentionCount.toLocaleString()} ${verb} you`
}

export class UnreadBar {
  #bar
  #jumpButton
  #clock

  /**
   * @param {HTMLElement} bar
   * @param {{ clock: Clock, goToFirst: () => void, dismiss: () => void }} dependencies
   */
  constructor(bar, { clock, goToFirst, dismiss }) {
    const [jumpButton, dismissButton] = bar.querySelectorAll("button")
    this.#bar = bar
    this.#jumpButton = jumpButton
    this.#clock = clock
    jumpButton.addEventListener("click", goToFirst)
    dismissButton.addEventListener("click", dismiss)
  }

  /** @param {UnreadSummary | null} summary null hides the button */
  show(summary) {
    this.#bar.hidden = summary === null || summary.count === 0
    if (!summary) return
    const text = unreadText(summary, this.#clock.now())
    if (this.#jumpButton.textContent !== text) this.#jumpButton.textContent = text
  }
}

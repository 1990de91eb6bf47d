// Reads new messages out to screen readers, through a live region.

import { truncate } from "../lib/text.js"

/** @import { Clock } from "../lib/clock.js" */
/** @import { Row } from "../wire.js" */

const BATCH_DELAY_MS = 300
const MAX_SEPARATE_MESSAGES = 3
const MAX_MESSAGE_CHARACTERS = 300
const REMOVAL_DELAY_MS = 20_000

export class Announcer {
  #region
  #clock
  /**
   * Texts of messages that are read out at the end of the delay.
   *
   * @type {string[]}
   */
  #batch = []

  /**
   * @param {HTMLElement} region a live region that is visually hidden
   * @param {Clock} clock
   */
  constructor(region, clock) {
    this.#region = region
    this.#clock = clock
  }

  /**
   * Reads out new messages, each once; of too many at a time, only their number.
   *
   * @param {Row[]} rows
   */
  announceMessages(rows) {
    if (rows.length === 0) return
    if (this.#batch.length === 0) {
      this.#clock.schedule(BATCH_DELAY_MS, () => this.#announceBatch())
    }
    for (const { handle, message } of rows) {
      this.#batch.push(`${handle}: ${truncate(message, MAX_MESSAGE_CHARACTERS)}`)
    }
  }

  /** @param {string} text */
  announce(text) {
    const paragraph = document.createElement("p")
    paragraph.textContent = text
    this.#region.append(paragraph)
    this.#clock.schedule(REMOVAL_DELAY_MS, () => paragraph.remove())
  }

  #announceBatch() {
    const texts = this.#batch.splice(0)
    if (texts.length > MAX_SEPARATE_MESSAGES) {
      this.announce(`${texts.length} new messages`)
      return
    }
    for (const text of texts) this.announce(text)
  }
}

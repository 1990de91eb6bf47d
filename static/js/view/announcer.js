// Reads new messages out to screen readers, through a live region.

import { plainText } from "../lib/plain_text.js"
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
   * Messages that are read out at the end of the delay.
   *
   * @type {{ seq: number, text: string }[]}
   */
  #batch = []
  /** @type {Map<number, HTMLElement>} by the seq of the message that they read out */
  #paragraphs = new Map()

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
    for (const { seq, handle, message } of rows) {
      const text = truncate(plainText(message), MAX_MESSAGE_CHARACTERS)
      this.#batch.push({ seq, text: `${handle}: ${text}` })
    }
  }

  /** @param {string} text */
  announce(text) {
    const paragraph = document.createElement("p")
    paragraph.textContent = text
    this.#region.append(paragraph)
    this.#clock.schedule(REMOVAL_DELAY_MS, () => paragraph.remove())
    return paragraph
  }

  /**
   * Removes the text of a deleted message.
   *
   * @param {number} seq
   */
  forget(seq) {
    this.#batch = this.#batch.filter((message) => message.seq !== seq)
    this.#paragraphs.get(seq)?.remove()
    this.#paragraphs.delete(seq)
  }

  #announceBatch() {
    const messages = this.#batch.splice(0)
    if (messages.length > MAX_SEPARATE_MESSAGES) {
      this.announce(`${messages.length} new messages`)
      return
    }
    for (const { seq, text } of messages) {
      this.#paragraphs.set(seq, this.announce(text))
      this.#clock.schedule(REMOVAL_DELAY_MS, () => this.#paragraphs.delete(seq))
    }
  }
}

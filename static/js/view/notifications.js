// System notifications about messages that arrive while nobody looks at the page.

import { plainText } from "../lib/plain_text.js"
import { basePath } from "../lib/site.js"
import { formatCount, truncate } from "../lib/text.js"

/** @import { Clock } from "../lib/clock.js" */
/** @import { ServerClock } from "../lib/server_clock.js" */
/** @import { Preferences } from "../state/preferences.js" */
/** @import { Row } from "../wire.js" */
/** @typedef {"all" | "mentions" | "off"} NotificationLevel */

const MAX_PREVIEW_AGE_MS = 2 * 60_000
const MAX_PREVIEW_CHARACTERS = 140
/** Time for another tab, in which this person reads, to show the same messages. */
const OTHER_TAB_DELAY_MS = 500
const UNSUPPORTED = "This browser can't show notifications here."
const INSECURE =
  "Notifications need a secure connection, and this page was opened over plain http. Ask whoever" +
  " runs this server for an address that begins with https."
const BLOCKED =
  "Notifications are blocked. Allow them in your browser's settings for this site, then try again."

export class Notifications {
  #label
  #storageKey
  #preferences
  #clock
  #serverClock
  #getTitle
  #isAddressedToMe
  #isWatched
  #getReadSeq
  #shownKey
  /** @type {Row[]} rows that are notified about at the end of the delay */
  #waiting = []
  /** @type {{ notification: Notification, seqs: number[] } | null} the latest one */
  #latest = null

  /**
   * @param {object} dependencies
   * @param {string} dependencies.label of the room
   * @param {Preferences} dependencies.preferences
   * @param {Clock} dependencies.clock
   * @param {ServerClock} dependencies.serverClock
   * @param {() => string} dependencies.getTitle of the room
   * @param {(row: Row) => boolean} dependencies.isAddressedToMe
   * @param {() => boolean} dependencies.isWatched whether this person looks at the page
   * @param {() => number} dependencies.getReadSeq the last message that was read in any tab
   */
  constructor(dependencies) {
    const { label, preferences } = dependencies
    this.#label = label
    this.#shownKey = `shown:${label}`
    this.#storageKey = `notify:${label}`
    this.#preferences = preferences
    this.#clock = dependencies.clock
    this.#serverClock = dependencies.serverClock
    this.#getTitle = dependencies.getTitle
    this.#isAddressedToMe = dependencies.isAddressedToMe
    this.#isWatched = dependencies.isWatched
    this.#getReadSeq = dependencies.getReadSeq
  }

  /** @returns {NotificationLevel} */
  get level() {
    if (!isAllowed()) return "off"
    return this.#preferences.get(this.#storageKey) ?? "mentions"
  }

  set level(level) {
    this.#preferences.set(this.#storageKey, level)
  }

  /** @param {() => void} listener is called when another tab has changed the level */
  onLevelChange(listener) {
    this.#preferences.onChangedElsewhere(this.#storageKey, listener)
  }

  /**
   * Asks for permission, unless the person has already decided.
   *
   * @returns {Promise<string>} why notifications cannot be shown; "" when they can
   */
  async requestPermission() {
    if (!isSecureContext) return INSECURE
    if (!("Notification" in globalThis)) return UNSUPPORTED
    if (Notification.permission === "default") await Notification.requestPermission()
    return isAllowed() ? "" : BLOCKED
  }

  /**
   * Notifies about new messages, as far as this person wants, unless this tab or another one shows
   * them to the person.
   *
   * @param {Row[]} rows
   */
  notify(rows) {
    const last = rows.at(-1)
    if (!last) return
    if (this.#isWatched()) {
      this.#preferences.set(this.#shownKey, last.seq)
      return
    }
    if (this.#waiting.length === 0) {
      this.#clock.schedule(OTHER_TAB_DELAY_MS, () => this.#notifyWaiting())
    }
    this.#waiting.push(...rows)
  }

  /**
   * Removes the text of a deleted message.
   *
   * @param {number} seq
   */
  forget(seq) {
    this.#waiting = this.#waiting.filter((row) => row.seq !== seq)
    if (this.#latest?.seqs.includes(seq)) this.#latest.notification.close()
  }

  /** @returns {string} why notifications cannot be shown; "" when they can */
  showTest() {
    return this.#show("This is what a notification looks like.", [])
  }

  #notifyWaiting() {
    const shownSeq = Number(this.#preferences.get(this.#shownKey)) || 0
    const shownElsewhere = Math.max(shownSeq, this.#getReadSeq())
    const rows = this.#waiting.splice(0).filter(({ seq }) => seq > shownElsewhere)
    const wanted = this.#isWatched() ? [] : this.#wantedRows(rows)
    const last = wanted.at(-1)
    if (!last) return
    const ageMs = this.#serverClock.now() - Date.parse(last.timestamp)
    const isRecent = ageMs <= MAX_PREVIEW_AGE_MS
    const body = isRecent
      ? `${last.handle}: ${truncate(plainText(last.message), MAX_PREVIEW_CHARACTERS)}`
      : formatCount(wanted.length, "new message")
    const seqs = wanted.map(({ seq }) => seq)
    this.#show(body, seqs)
  }

  /** @param {Row[]} rows */
  #wantedRows(rows) {
    const { level } = this
    if (level === "off") return []
    return level === "all" ? rows : rows.filter((row) => this.#isAddressedToMe(row))
  }

  /**
   * Shows a notification, in place of an earlier one about the same room.
   *
   * @param {string} body
   * @param {number[]} seqs of the messages that it is about
   */
  #show(body, seqs) {
    try {
      const tag = `confab${basePath}-${this.#label}`
      const notification = new Notification(this.#getTitle(), { body, tag })
      this.#latest = { notification, seqs }
      notification.addEventListener("click", () => {
        window.focus()
        notification.close()
      })
      return ""
    } catch {
      return UNSUPPORTED // on some phones only installed apps may show notifications
    }
  }
}

function isAllowed() {
  return "Notification" in globalThis && Notification.permission === "granted"
}

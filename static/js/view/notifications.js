// System notifications about messages that arrive while nobody looks at the page.

import { mentionsName } from "../lib/mentions.js"
import { formatCount, truncate } from "../lib/text.js"

/** @import { ServerClock } from "../lib/server_clock.js" */
/** @import { Preferences } from "../state/preferences.js" */
/** @import { Row } from "../wire.js" */
/** @typedef {"all" | "mentions" | "off"} NotificationLevel */

const MAX_PREVIEW_AGE_MS = 2 * 60_000
const MAX_PREVIEW_CHARACTERS = 140
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
  #serverClock
  #getTitle
  #getName
  #isReplyToMe

  /**
   * @param {object} dependencies
   * @param {string} dependencies.label of the room
   * @param {Preferences} dependencies.preferences
   * @param {ServerClock} dependencies.serverClock
   * @param {() => string} dependencies.getTitle of the room
   * @param {() => string} dependencies.getName of this person
   * @param {(row: Row) => boolean} dependencies.isReplyToMe
   */
  constructor({ label, preferences, serverClock, getTitle, getName, isReplyToMe }) {
    this.#label = label
    this.#storageKey = `notify:${label}`
    this.#preferences = preferences
    this.#serverClock = serverClock
    this.#getTitle = getTitle
    this.#getName = getName
    this.#isReplyToMe = isReplyToMe
  }

  /** @returns {NotificationLevel} */
  get level() {
    if (!isAllowed()) return "off"
    return this.#preferences.get(this.#storageKey) ?? "mentions"
  }

  set level(level) {
    this.#preferences.set(this.#storageKey, level)
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
   * Notifies about new messages, as far as this person wants.
   *
   * @param {Row[]} rows
   */
  notify(rows) {
    const wanted = this.#wantedRows(rows)
    const last = wanted.at(-1)
    if (!last) return
    const ageMs = this.#serverClock.now() - Date.parse(last.timestamp)
    const isRecent = ageMs <= MAX_PREVIEW_AGE_MS
    if (isRecent) this.#show(`${last.handle}: ${truncate(last.message, MAX_PREVIEW_CHARACTERS)}`)
    else this.#show(formatCount(wanted.length, "new message"))
  }

  /** @returns {string} why notifications cannot be shown; "" when they can */
  showTest() {
    return this.#show("This is what a notification looks like.")
  }

  /** @param {Row[]} rows */
  #wantedRows(rows) {
    const { level } = this
    if (level === "off") return []
    if (level === "all") return rows
    const name = this.#getName()
    return rows.filter((row) => mentionsName(row.message, name) || this.#isReplyToMe(row))
  }

  /**
   * Shows a notification, in place of an earlier one about the same room.
   *
   * @param {string} body
   */
  #show(body) {
    try {
      const tag = `confab-${this.#label}`
      const notification = new Notification(this.#getTitle(), { body, tag })
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

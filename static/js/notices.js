// Notifications by the browser: only when somebody has asked for them, only for what nobody is looking at, one for each room.

import { counted, mentions, truncate } from "./text.js"

/** @import { Clock } from "./clock.js" */
/** @import { Storage } from "./storage.js" */
/** @import { Row } from "./wire.js" */
/** @typedef {"all" | "mentions" | "off"} Level */

const OLD_MS = 2 * 60_000
const MAX_CHARACTERS = 140
const UNABLE = "This browser cannot show notifications here."
const DENIED = "Notifications for this site are blocked. Allow them in the browser's settings for this site, then come back."

export class Notices {
  #key
  #parts

  /** @param {{ label: string, storage: Storage, clock: Clock, title: () => string, name: () => string, answers: (row: Row) => boolean }} parts `name` is what this person is called; `answers`: a reply to them */
  constructor(parts) {
    this.#key = `notify:${parts.label}`
    this.#parts = parts
  }

  /** @returns {Level} */
  get level() {
    if (!allowed()) return "off"
    return this.#parts.storage.get(this.#key) ?? "mentions"
  }

  set level(level) {
    this.#parts.storage.set(this.#key, level)
  }

  /** Asks, when nobody has been asked yet; why it will not work, or nothing. */
  async ask() {
    if (!("Notification" in globalThis)) return UNABLE
    if (Notification.permission === "default") await Notification.requestPermission()
    return allowed() ? "" : DENIED
  }

  /** What others have said while nobody was looking. @param {Row[]} rows */
  tell(rows) {
    const { level } = this
    const wanted = level === "all" ? rows : level === "mentions" ? rows.filter((row) => mentions(row.message, this.#parts.name()) || this.#parts.answers(row)) : []
    if (!wanted.length) return
    const last = /** @type {Row} */ (wanted.at(-1))
    const old = this.#parts.clock.now() - Date.parse(last.timestamp) > OLD_MS
    this.#show(old ? counted(wanted.length, "new message") : `${last.handle}: ${truncate(last.message, MAX_CHARACTERS)}`)
  }

  test() {
    return this.#show("This is how a new message will be shown.")
  }

  /** The same tag replaces: a room has one. @param {string} body */
  #show(body) {
    try {
      const notice = new Notification(this.#parts.title(), { body, tag: `confab-${this.#parts.label}` })
      notice.addEventListener("click", () => {
        window.focus()
        notice.close()
      })
      return ""
    } catch {
      return UNABLE // some phones allow them to installed apps only
    }
  }
}

const allowed = () => "Notification" in globalThis && Notification.permission === "granted"

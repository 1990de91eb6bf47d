// What this person has read, and what is new: counted in the tab's title and icon until they have looked.

/** @import { Clock } from "./clock.js" */
/** @import { Storage } from "./storage.js" */
/** @import { Row } from "./wire.js" */
/** @import { Line } from "./message_list.js" */

const LOOKED_MS = 1000

/** Dispatches `line` when the line above the first unread message is another one. */
export class Attention extends EventTarget {
  /** @type {Line | null} */ line = null
  unread = 0
  #key
  #parts
  #last = 0
  #since = 0 // which look this is
  #watched = false

  /**
   * @param {{ label: string, storage: Storage, clock: Clock, looking: () => boolean, tab: { count: number } }} parts
   * `looking` is true while the page is visible, focused and at its end
   */
  constructor(parts) {
    super()
    this.#key = `read:${parts.label}`
    this.#parts = parts
  }

  /** The page was opened: what came after the last look is new. @param {Row[]} rows @param {(row: Row) => boolean} mine */
  open(rows, mine) {
    this.#last = rows.at(-1)?.seq ?? 0
    const read = this.#parts.storage.get(this.#key)
    if (!Number.isFinite(read)) return this.#keep()
    const unread = rows.filter((row) => row.seq > read && !mine(row))
    if (unread.length) this.#draw({ after: rows[0].seq > read ? read : unread[0].seq - 1, words: "New" })
    this.#count(unread.length)
    this.look()
  }

  /** After a long absence nobody has counted what is loaded; the server has. @param {Line} line @param {number} missed */
  missed(line, missed) {
    this.#draw(line)
    this.#count(missed)
    this.look()
  }

  /** @param {Row[]} others what other people have just said @param {number} last the newest place, whoever wrote there */
  arrived(others, last) {
    this.#last = Math.max(this.#last, last)
    if (this.#parts.looking() || !others.length) return this.look()
    if (!this.unread) this.#draw({ after: others[0].seq - 1, words: "New" })
    this.#count(this.unread + others.length)
  }

  /** Something about who looks at what has changed. A second of looking is reading. */
  look() {
    if (!this.#parts.looking()) {
      this.#watched = false
      return
    }
    if (this.#watched) return
    this.#watched = true
    const since = (this.#since += 1)
    this.#parts.clock.later(LOOKED_MS, () => {
      if (since !== this.#since || !this.#watched) return
      this.#watched = false
      if (this.#parts.looking()) this.#keep()
    })
  }

  /** The page closes: what was in sight then has been seen. */
  leave = () => this.#parts.looking() && this.#keep()
  /** The reader needs the line no more. */
  clear = () => this.#draw(null)

  #keep() {
    this.#parts.storage.set(this.#key, Math.max(this.#last, Number(this.#parts.storage.get(this.#key)) || 0))
    this.#count(0)
  }

  /** @param {Line | null} line */
  #draw(line) {
    this.line = line
    this.dispatchEvent(new Event("line"))
  }

  /** @param {number} unread */
  #count(unread) {
    this.unread = unread
    this.#parts.tab.count = unread
  }
}

/** What of the page is seen when it is not: the title and the icon of its tab. */
export class BrowserTab {
  #icon
  #quiet
  #count = 0
  #title = ""

  /** @param {HTMLLinkElement} icon which knows the address of its other drawing, with the dot */
  constructor(icon) {
    this.#icon = icon
    this.#quiet = icon.href
  }

  /** @param {string} title */
  set title(title) {
    this.#title = title
    this.#draw()
  }

  get count() {
    return this.#count
  }

  set count(count) {
    this.#count = count
    this.#draw()
  }

  #draw() {
    document.title = `${this.#count ? `(${this.#count}) ` : ""}${this.#title} · Confab`
    const icon = (this.#count && this.#icon.dataset.dot) || this.#quiet
    if (this.#icon.href !== icon) this.#icon.href = icon
  }
}

// What this browser has still to send in one room, kept where a reload and the other tabs find it. One entry per message.

/** @import { Item } from "./wire.js" */
/** @typedef {Pick<globalThis.Storage, "getItem" | "setItem" | "removeItem" | "key" | "length">} Area */

/**
 * localStorage and not IndexedDB, because it has written when `put` returns: a message is kept in the turn of its Enter,
 * before the composer lets go of the words and before the network hears of them, with no promise between that a closing
 * tab could lose. It survives a reload and a crash; a power cut may cost its last seconds, as it may in IndexedDB. A full
 * outbox is under a megabyte of its five. What it cannot keep, full or forbidden, `put` says, and the page says.
 * Entries of their own, because tabs that write at once must not overwrite one another's.
 */
export class OutboxStore {
  #prefix
  #area
  #page

  /** @param {string} label @param {() => Area} area merely naming localStorage can throw @param {EventTarget} page where the other tabs' writing is heard */
  constructor(label, area = () => globalThis.localStorage, page = globalThis) {
    this.#prefix = `confab:outbox:${label}:`
    this.#area = area
    this.#page = page
  }

  /** Everything that is kept, the oldest first. @returns {Item[]} */
  all() {
    try {
      const area = this.#area()
      const keys = Array.from({ length: area.length }, (_, place) => area.key(place) ?? "")
      const kept = keys.filter((key) => key.startsWith(this.#prefix)).map((key) => read(area.getItem(key)))
      return kept.filter((item) => item !== null).sort((a, b) => a.at - b.at)
    } catch {
      return []
    }
  }

  /** Whether it is kept now. @param {Item} item */
  put(item) {
    try {
      this.#area().setItem(this.#prefix + item.id, JSON.stringify(item))
      return true
    } catch {
      return false
    }
  }

  /** @param {string} id */
  drop(id) {
    try {
      this.#area().removeItem(this.#prefix + id)
    } catch {
      // Where nothing may be kept, nothing is.
    }
  }

  /** Another tab has put something, or dropped it: then there is no item. @param {(id: string, item: Item | null) => void} tell */
  hear(tell) {
    this.#page.addEventListener("storage", (event) => {
      const { key, newValue } = /** @type {StorageEvent} */ (event)
      if (key?.startsWith(this.#prefix)) tell(key.slice(this.#prefix.length), read(newValue))
    })
  }
}

/** Whoever else writes into the storage of this address breaks nothing here. @param {string | null} text @returns {Item | null} */
function read(text) {
  try {
    const item = JSON.parse(text ?? "null")
    const whole = [item.id, item.handle, item.message, item.timestamp, item.state].every((part) => typeof part === "string")
    return whole && Number.isFinite(item.at) ? item : null
  } catch {
    return null
  }
}

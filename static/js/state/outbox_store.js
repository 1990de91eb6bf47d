// Stores the outbox of a room in localStorage, where all tabs of the browser share it.

import { attempt } from "../lib/attempt.js"
import { storagePrefix } from "../lib/site.js"

/** @import { Item } from "../wire.js" */
/** @import { ItemStorage } from "./preferences.js" */

const TEXT_FIELDS = /** @type {const} */ (["id", "handle", "message", "timestamp", "state"])

/**
 * localStorage and not IndexedDB, because `save` has written when it returns: a message is stored
 * before the composer is cleared and before the network is used, and a closing tab cannot lose it.
 * It survives a reload and a crash of the browser; a power cut may lose the last seconds, as with
 * IndexedDB. A full outbox takes less than one of the five megabytes of localStorage.
 *
 * Each item has an entry of its own, so that tabs cannot overwrite each other's items.
 */
export class OutboxStore {
  #keyPrefix
  #getStorage
  #storageEvents

  /**
   * @param {string} label
   * @param {object} [dependencies]
   * @param {() => ItemStorage} [dependencies.getStorage] a function, because even reading the name
   *   `localStorage` throws where storage is forbidden
   * @param {EventTarget} [dependencies.storageEvents] where the browser dispatches `storage`
   */
  constructor(label, { getStorage = () => localStorage, storageEvents = globalThis } = {}) {
    this.#keyPrefix = `${storagePrefix}outbox:${label}:`
    this.#getStorage = getStorage
    this.#storageEvents = storageEvents
  }

  /**
   * @param {Item} item
   * @returns {boolean} whether the item is stored; false when storage is full or forbidden
   */
  save(item) {
    try {
      this.#getStorage().setItem(this.#keyPrefix + item.id, JSON.stringify(item))
      return true
    } catch {
      return false
    }
  }

  /** @param {string} id */
  remove(id) {
    attempt(() => this.#getStorage().removeItem(this.#keyPrefix + id), undefined)
  }

  /** @param {string} id */
  has(id) {
    return attempt(() => this.#getStorage().getItem(this.#keyPrefix + id) !== null, false)
  }

  /** All stored items, the oldest first. */
  all() {
    return attempt(() => this.#readAll(this.#getStorage()), [])
  }

  /**
   * Calls a function when another tab saves or removes an item.
   *
   * @param {(id: string, item: Item | null) => void} listener null when the item was removed
   */
  onChange(listener) {
    this.#storageEvents.addEventListener("storage", (event) => {
      const { key, newValue } = /** @type {StorageEvent} */ (event)
      if (!key?.startsWith(this.#keyPrefix)) return
      const id = key.slice(this.#keyPrefix.length)
      listener(id, parseItem(newValue))
    })
  }

  /** @param {ItemStorage} storage */
  #readAll(storage) {
    /** @type {Item[]} */
    const items = []
    for (let index = 0; index < storage.length; index += 1) {
      const key = storage.key(index) ?? ""
      if (!key.startsWith(this.#keyPrefix)) continue
      const item = parseItem(storage.getItem(key))
      if (item) items.push(item)
    }
    return items.sort((a, b) => a.at - b.at)
  }
}

/**
 * @param {string | null} json may contain anything: all pages of an origin share its storage
 * @returns {Item | null} null when it is no item
 */
function parseItem(json) {
  const item = attempt(() => JSON.parse(json ?? "null"), null)
  if (!item || !Number.isFinite(item.at)) return null
  const hasTexts = TEXT_FIELDS.every((field) => typeof item[field] === "string")
  return hasTexts ? item : null
}

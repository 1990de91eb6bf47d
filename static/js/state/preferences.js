// Small values that this browser remembers between visits.

import { attempt } from "../lib/attempt.js"

/** @typedef {Pick<Storage, "getItem" | "setItem" | "removeItem" | "key" | "length">} ItemStorage */

const KEY_PREFIX = "confab:"

/** Values in localStorage; where that is full or forbidden, they last as long as the page. */
export class Preferences {
  /**
   * Values that could not be stored, as JSON.
   *
   * @type {Map<string, string>}
   */
  #memory = new Map()
  #getStorage
  #storageEvents

  /**
   * @param {() => ItemStorage} [getStorage] a function, because even reading the name
   *   `localStorage` throws where storage is forbidden
   * @param {EventTarget} [storageEvents] dispatches `storage` when another tab has stored something
   */
  constructor(getStorage = () => localStorage, storageEvents = globalThis) {
    this.#getStorage = getStorage
    this.#storageEvents = storageEvents
  }

  /**
   * @param {string} key
   * @returns {any} the stored value, or null; another program may have stored anything
   */
  get(key) {
    try {
      const stored = this.#memory.get(key) ?? this.#getStorage().getItem(KEY_PREFIX + key)
      return JSON.parse(stored ?? "null")
    } catch {
      return null
    }
  }

  /**
   * @param {string} key
   * @param {unknown} value
   */
  set(key, value) {
    const json = JSON.stringify(value)
    try {
      this.#getStorage().setItem(KEY_PREFIX + key, json)
      this.#memory.delete(key)
    } catch {
      this.#memory.set(key, json)
    }
  }

  /**
   * Calls a function when another tab stores a value.
   *
   * @param {string} key
   * @param {() => void} listener
   */
  onStoredElsewhere(key, listener) {
    this.#storageEvents.addEventListener("storage", (event) => {
      const { key: storedKey, newValue } = /** @type {StorageEvent} */ (event)
      if (storedKey === KEY_PREFIX + key && newValue !== null) listener()
    })
  }

  /** Deletes everything that Confab has stored in this browser, also what other modules have. */
  deleteAll() {
    this.#memory.clear()
    // Where storage is forbidden, nothing is stored.
    attempt(() => deleteStored(this.#getStorage()), undefined)
  }
}

/** @param {ItemStorage} storage */
function deleteStored(storage) {
  const keys = Array.from({ length: storage.length }, (_, index) => storage.key(index) ?? "")
  for (const key of keys) {
    if (key.startsWith(KEY_PREFIX)) storage.removeItem(key)
  }
}

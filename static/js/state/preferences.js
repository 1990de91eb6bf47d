// Small values that this browser remembers between visits.

import { attempt } from "../lib/attempt.js"
import { storagePrefix } from "../lib/site.js"

/** @typedef {Pick<Storage, "getItem" | "setItem" | "removeItem" | "key" | "length">} ItemStorage */

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
    storageEvents.addEventListener("storage", (event) => {
      const { key } = /** @type {StorageEvent} */ (event)
      if (key?.startsWith(storagePrefix)) this.#memory.delete(key.slice(storagePrefix.length))
    })
  }

  /**
   * @param {string} key
   * @returns {any} the stored value, or null; another program may have stored anything
   */
  get(key) {
    try {
      const stored = this.#memory.get(key) ?? this.#getStorage().getItem(storagePrefix + key)
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
      this.#getStorage().setItem(storagePrefix + key, json)
      this.#memory.delete(key)
    } catch {
      this.#memory.set(key, json)
    }
  }

  /** @param {string} key */
  remove(key) {
    this.#memory.delete(key)
    attempt(() => this.#getStorage().removeItem(storagePrefix + key), undefined)
  }

  /**
   * The keys that have a value and begin with a prefix.
   *
   * @param {string} prefix
   */
  keys(prefix) {
    const stored = attempt(() => storedKeys(this.#getStorage()), [])
    const keys = new Set([...stored, ...this.#memory.keys()])
    return [...keys].filter((key) => key.startsWith(prefix))
  }

  /**
   * Calls a function when another tab stores or removes a value.
   *
   * @param {string} key
   * @param {(value: any) => void} listener null when the value was removed
   */
  onChangedElsewhere(key, listener) {
    this.#storageEvents.addEventListener("storage", (event) => {
      const { key: storedKey, newValue } = /** @type {StorageEvent} */ (event)
      if (storedKey !== storagePrefix + key) return
      listener(attempt(() => JSON.parse(newValue ?? "null"), null))
    })
  }

  /** Deletes everything that Confab has stored in this browser, also what other modules have. */
  deleteAll() {
    this.#memory.clear()
    // Where storage is forbidden, nothing is stored.
    attempt(() => deleteStored(this.#getStorage()), undefined)
  }
}

/**
 * The keys of Confab, without their prefix.
 *
 * @param {ItemStorage} storage
 */
function storedKeys(storage) {
  const keys = Array.from({ length: storage.length }, (_, index) => storage.key(index) ?? "")
  const ours = keys.filter((key) => key.startsWith(storagePrefix))
  return ours.map((key) => key.slice(storagePrefix.length))
}

/** @param {ItemStorage} storage */
function deleteStored(storage) {
  for (const key of storedKeys(storage)) storage.removeItem(storagePrefix + key)
}

// The people whose messages this browser hides in a room; nobody else sees the list.

/** @import { Preferences } from "./preferences.js" */

/** Dispatches `change`. */
export class IgnoredPeople extends EventTarget {
  #storageKey
  #preferences

  /**
   * @param {string} label
   * @param {Preferences} preferences
   */
  constructor(label, preferences) {
    super()
    this.#storageKey = `ignored:${label}`
    this.#preferences = preferences
  }

  /**
   * The ignored people: by mark, the name that they had.
   *
   * @returns {Record<string, string>}
   */
  get all() {
    return this.#preferences.get(this.#storageKey) ?? {}
  }

  /** @param {string} mark */
  has(mark) {
    return Object.hasOwn(this.all, mark)
  }

  /**
   * Ignores somebody, or stops ignoring them.
   *
   * @param {string} mark
   * @param {string} name
   */
  toggle(mark, name) {
    const people = { ...this.all }
    if (Object.hasOwn(people, mark)) delete people[mark]
    else people[mark] = name
    this.#preferences.set(this.#storageKey, people)
    this.dispatchEvent(new Event("change"))
  }
}

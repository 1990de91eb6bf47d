// The people whose messages this browser hides in a room; nobody else sees the list.

/** @import { Preferences } from "./preferences.js" */

/** Dispatches `change`. */
export class IgnoredPeople extends EventTarget {
  #storageKey
  #preferences
  /** @type {Record<string, string> | null} what is stored; null: not read yet */
  #people = null

  /**
   * @param {string} label
   * @param {Preferences} preferences
   */
  constructor(label, preferences) {
    super()
    this.#storageKey = `ignored:${label}`
    this.#preferences = preferences
    preferences.onChangedElsewhere(this.#storageKey, () => this.#dispatchChange())
  }

  /**
   * The ignored people: by mark, the name that they had.
   *
   * @returns {Record<string, string>}
   */
  get all() {
    this.#people ??= this.#preferences.get(this.#storageKey) ?? {}
    return /** @type {Record<string, string>} */ (this.#people)
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
    this.#people = null // another tab may have changed them
    const people = { ...this.all }
    if (Object.hasOwn(people, mark)) delete people[mark]
    else people[mark] = name
    this.#preferences.set(this.#storageKey, people)
    this.#dispatchChange()
  }

  #dispatchChange() {
    this.#people = null
    this.dispatchEvent(new Event("change"))
  }
}

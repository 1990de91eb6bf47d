// What this browser remembers by itself; where it may not remember, for as long as the page is open.

const PREFIX = "confab:"

export class Storage {
  /** @type {Map<string, string>} */
  #memory = new Map()
  #area

  /** @param {() => Pick<globalThis.Storage, "getItem" | "setItem">} area merely naming localStorage can throw */
  constructor(area = () => globalThis.localStorage) {
    this.#area = area
  }

  /** @param {string} key @returns {any} what was kept, or null */
  get(key) {
    try {
      return JSON.parse(this.#memory.get(key) ?? this.#area().getItem(PREFIX + key) ?? "null")
    } catch {
      return null
    }
  }

  /** @param {string} key @param {unknown} value */
  set(key, value) {
    const text = JSON.stringify(value)
    try {
      this.#area().setItem(PREFIX + key, text)
      this.#memory.delete(key)
    } catch {
      this.#memory.set(key, text)
    }
  }
}

// The people this browser does not want to read in a room; nobody is told.

/** @import { Storage } from "./storage.js" */

/** Dispatches `change`. */
export class Ignored extends EventTarget {
  #key
  #storage
  has = (/** @type {string} */ mark) => Object.hasOwn(this.all, mark)

  /** @param {string} label @param {Storage} storage */
  constructor(label, storage) {
    super()
    this.#key = `ignored:${label}`
    this.#storage = storage
  }

  /** By mark, the name they had. @returns {Record<string, string>} */
  get all() {
    return this.#storage.get(this.#key) ?? {}
  }

  /** Somebody who was read is ignored, and the other way round. @param {string} mark @param {string} name */
  turn(mark, name) {
    const { [mark]: ignored, ...others } = this.all
    this.#storage.set(this.#key, ignored === undefined ? { ...others, [mark]: name } : others)
    this.dispatchEvent(new Event("change"))
  }
}

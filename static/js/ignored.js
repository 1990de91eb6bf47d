// The people this browser does not want to read in a room; nobody is told.

/** @import { Storage } from "./storage.js" */

/** Dispatches `change`. */
export class Ignored extends EventTarget {
  #key
  #storage

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

  /** @param {string} mark */
  has(mark) {
    return Object.hasOwn(this.all, mark)
  }

  /** @param {string} mark @param {string} name */
  add(mark, name) {
    this.#set({ ...this.all, [mark]: name })
  }

  /** @param {string} mark */
  remove(mark) {
    this.#set(Object.fromEntries(Object.entries(this.all).filter(([each]) => each !== mark)))
  }

  /** @param {Record<string, string>} all */
  #set(all) {
    this.#storage.set(this.#key, all)
    this.dispatchEvent(new Event("change"))
  }
}

// The rooms this browser has visited, newest first; nobody else is told.

/** @import { Storage } from "./storage.js" */
/** @typedef {{ label: string, name: string, at: number }} Visit */

const KEY = "rooms"
const MOST = 30

export class RecentRooms {
  #storage

  /** @param {Storage} storage */
  constructor(storage) {
    this.#storage = storage
  }

  /** @returns {Visit[]} */
  all() {
    const kept = this.#storage.get(KEY)
    return Array.isArray(kept) ? kept.filter((visit) => typeof visit?.label === "string") : []
  }

  #without = (/** @type {string} */ label) => this.all().filter((visit) => visit.label !== label)
  remember = (/** @type {Visit} */ visit) => this.#storage.set(KEY, [visit, ...this.#without(visit.label)].slice(0, MOST))
  forget = (/** @type {string} */ label) => this.#storage.set(KEY, this.#without(label))
}

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

  /** @param {Visit} visit */
  remember(visit) {
    this.#storage.set(KEY, [visit, ...this.#without(visit.label)].slice(0, MOST))
  }

  /** @param {string} label */
  forget(label) {
    this.#storage.set(KEY, this.#without(label))
  }

  /** @param {string} label */
  #without(label) {
    return this.all().filter((visit) => visit.label !== label)
  }
}

// The rooms that this browser has visited; no other person and no server sees the list.

/** @import { Preferences } from "./preferences.js" */

/**
 * @typedef {object} Visit
 * @property {string} label
 * @property {string} name the display name of the room; may be empty
 * @property {number} at when it was last visited, in milliseconds since 1970
 * @property {number} [unread] how many messages were unread then
 */

const STORAGE_KEY = "rooms"
const MAX_RECENT_ROOMS = 30

export class RecentRooms {
  #preferences

  /** @param {Preferences} preferences */
  constructor(preferences) {
    this.#preferences = preferences
  }

  /**
   * The visited rooms, the latest first.
   *
   * @returns {Visit[]}
   */
  all() {
    const visits = this.#preferences.get(STORAGE_KEY)
    if (!Array.isArray(visits)) return []
    return visits.filter((visit) => typeof visit?.label === "string")
  }

  /** @param {Visit} visit */
  add(visit) {
    const visits = [visit, ...this.#allExcept(visit.label)]
    this.#preferences.set(STORAGE_KEY, visits.slice(0, MAX_RECENT_ROOMS))
  }

  /**
   * @param {string} label of a room, which may have been removed from the list
   * @param {number} unread
   */
  setUnread(label, unread) {
    const visits = this.all()
    const visit = visits.find((other) => other.label === label)
    if (!visit || (visit.unread ?? 0) === unread) return
    visit.unread = unread
    this.#preferences.set(STORAGE_KEY, visits)
  }

  /** @param {string} label */
  remove(label) {
    this.#preferences.set(STORAGE_KEY, this.#allExcept(label))
  }

  /** @param {string} label */
  #allExcept(label) {
    return this.all().filter((visit) => visit.label !== label)
  }
}

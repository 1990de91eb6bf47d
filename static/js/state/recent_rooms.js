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

/** Dispatches `change` when another tab has changed the list. */
export class RecentRooms extends EventTarget {
  #preferences

  /** @param {Preferences} preferences */
  constructor(preferences) {
    super()
    this.#preferences = preferences
    preferences.onChangedElsewhere(STORAGE_KEY, () => this.dispatchEvent(new Event("change")))
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
   * Changes the name of a room, if it is in the list: the person may have removed it.
   *
   * @param {string} label
   * @param {string} name
   */
  rename(label, name) {
    this.#change(label, { name })
  }

  /**
   * Changes the number of unread messages of a room, if it is in the list.
   *
   * @param {string} label
   * @param {number} unread
   */
  setUnread(label, unread) {
    this.#change(label, { unread })
  }

  /** @param {string} label */
  remove(label) {
    this.#preferences.set(STORAGE_KEY, this.#allExcept(label))
  }

  /**
   * @param {string} label
   * @param {Partial<Visit>} changes
   */
  #change(label, changes) {
    const visits = this.all()
    const visit = visits.find((other) => other.label === label)
    if (!visit) return
    const changed = { ...visit, ...changes }
    if (JSON.stringify(changed) === JSON.stringify(visit)) return
    this.#preferences.set(
      STORAGE_KEY,
      visits.map((other) => (other === visit ? changed : other)),
    )
  }

  /** @param {string} label */
  #allExcept(label) {
    return this.all().filter((visit) => visit.label !== label)
  }
}

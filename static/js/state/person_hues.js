// Which color each person of a room has: the next free one, in the order in which they appear.

/** @import { Row } from "../wire.js" */
/** @import { Preferences } from "./preferences.js" */

/** How many colors css/avatar.css has. */
export const HUE_COUNT = 20
/** How much of a mark identifies a person here. */
const STORED_MARK_CHARACTERS = 10
const MAX_STORED_MARKS = 200
export const OWN_HUE = "own"

/**
 * The order is remembered: a person keeps the color, also when their first message is not loaded
 * any more. The server gives the same colors to the people of a page that is opened for the first
 * time.
 */
export class PersonHues {
  #storageKey
  #preferences
  #getOwnMark
  /** @type {string[]} the beginnings of marks; the position of a person decides their color */
  #marks

  /**
   * @param {string} label of the room
   * @param {object} dependencies
   * @param {Preferences} dependencies.preferences
   * @param {() => string} dependencies.getOwnMark
   */
  constructor(label, { preferences, getOwnMark }) {
    this.#storageKey = `hues:${label}`
    this.#preferences = preferences
    this.#getOwnMark = getOwnMark
    this.#marks = []
    this.#mergeStored()
  }

  /**
   * Gives colors to the authors of messages, then to those who have reacted to them.
   *
   * @param {Row[]} rows
   */
  learn(rows) {
    for (const { mark } of rows) this.hueOf(mark)
    for (const { reactions = {} } of rows) {
      for (const mark of Object.values(reactions).flat()) this.hueOf(mark)
    }
  }

  /**
   * @param {string} mark
   * @returns {string} the number of a color; "own" for this person; "" for nobody
   */
  hueOf(mark) {
    if (mark === "") return ""
    if (mark === this.#getOwnMark()) return OWN_HUE
    const key = mark.slice(0, STORED_MARK_CHARACTERS)
    if (!this.#marks.includes(key)) this.#add(key)
    return String(this.#marks.indexOf(key) % HUE_COUNT)
  }

  /** @param {string} key */
  #add(key) {
    this.#mergeStored() // another tab may have met the person first
    if (!this.#marks.includes(key)) this.#marks.push(key)
    this.#preferences.set(this.#storageKey, this.#marks.slice(0, MAX_STORED_MARKS))
  }

  /** The order of the other tabs counts. */
  #mergeStored() {
    const value = this.#preferences.get(this.#storageKey)
    const stored = Array.isArray(value) ? value : []
    this.#marks = [...stored, ...this.#marks.filter((mark) => !stored.includes(mark))]
  }
}

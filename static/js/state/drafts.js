// The unsent text of a room, which survives a reload.

/** @import { Clock } from "../lib/clock.js" */
/** @import { Preferences } from "./preferences.js" */

/**
 * What the text in the composer is for, when it is not simply the next message.
 *
 * @typedef {object} ComposerMode
 * @property {number} [edit] the seq of the message that is edited
 * @property {string} [text] the text of that message before the edit
 * @property {number} [reply_to] the seq of the message that is replied to
 * @property {string} words the sentence above the composer
 */

/**
 * The stored form of a draft; its keys must not change.
 *
 * @typedef {object} Draft
 * @property {string} text
 * @property {ComposerMode | null} [mode]
 * @property {string} [aside] the text that was in the composer before an edit began
 */

const SAVE_DELAY_MS = 300

export class Drafts {
  #storageKey
  #preferences
  #clock
  /** @type {Draft | null} */
  #unsaved = null

  /**
   * @param {string} label
   * @param {{ preferences: Preferences, clock: Clock }} dependencies
   */
  constructor(label, { preferences, clock }) {
    this.#storageKey = `draft:${label}`
    this.#preferences = preferences
    this.#clock = clock
  }

  /** @returns {Draft} */
  read() {
    return { text: "", ...this.#preferences.get(this.#storageKey) }
  }

  /**
   * Saves a draft after a short delay, so that typing does not write at every key.
   *
   * @param {Draft} draft
   */
  saveSoon(draft) {
    if (!this.#unsaved) this.#clock.schedule(SAVE_DELAY_MS, () => this.saveNow())
    this.#unsaved = draft
  }

  /** Saves the draft that waits to be saved, if there is one. */
  saveNow() {
    if (!this.#unsaved) return
    this.#preferences.set(this.#storageKey, this.#unsaved)
    this.#unsaved = null
  }
}

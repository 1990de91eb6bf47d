// The own messages and changes of a room whose rows have not come yet.

import { applyPendingChange } from "./pending_change.js"

/** @import { Item, Row } from "../wire.js" */

export class PendingItems {
  /** @type {Map<string, Item>} own messages by id, in the order of sending */
  #messages = new Map()
  /** @type {Map<string, number>} the revs of own messages that the server has stored, by id */
  #confirmedRevs = new Map()
  /** @type {Map<string, Item & { rev?: number }>} own changes by id; `rev` once they are stored */
  #changes = new Map()

  /** The own messages in the order of sending. */
  get messages() {
    return [...this.#messages.values()]
  }

  /** @param {Item} item */
  addMessage(item) {
    this.#messages.set(item.id, item)
  }

  /** @param {Item} change */
  addChange(change) {
    if (change.state === "failed") this.#changes.delete(change.id)
    else this.#changes.set(change.id, change)
  }

  /**
   * The server has stored a message as the change `rev`.
   *
   * @param {string} id
   * @param {number} rev
   */
  confirmMessage(id, rev) {
    if (this.#messages.has(id)) this.#confirmedRevs.set(id, rev)
  }

  /**
   * @param {string} id
   * @param {number} rev
   */
  confirmChange(id, rev) {
    const change = this.#changes.get(id)
    if (change) this.#changes.set(id, { ...change, rev })
  }

  /**
   * @param {string} id
   * @returns {boolean} whether the message was pending
   */
  removeMessage(id) {
    return this.#messages.delete(id)
  }

  /**
   * @param {string} id
   * @returns {Item | undefined} the change, if it was pending
   */
  removeChange(id) {
    const change = this.#changes.get(id)
    this.#changes.delete(id)
    return change
  }

  /**
   * Removes the confirmed messages whose rows are outside the window: all changes up to `applied`
   * are applied, and their rows were not among them.
   *
   * @param {number} applied
   * @returns {string[]} their ids
   */
  removeAppliedMessages(applied) {
    const removed = []
    for (const [id, rev] of this.#confirmedRevs) {
      const isWaiting = rev > applied && this.#messages.has(id)
      if (isWaiting) continue
      this.#confirmedRevs.delete(id)
      if (this.#messages.delete(id)) removed.push(id)
    }
    return removed
  }

  /**
   * Removes the changes that the applied rows contain.
   *
   * @param {number} applied
   * @returns {Item[]}
   */
  removeAppliedChanges(applied) {
    const removed = [...this.#changes.values()].filter(({ rev = Infinity }) => rev <= applied)
    for (const { id } of removed) this.#changes.delete(id)
    return removed
  }

  /**
   * A message with the own changes to it.
   *
   * @param {Row} row
   */
  applyChanges(row) {
    let changed = row
    for (const change of this.#changes.values()) {
      if (change.seq === row.seq) changed = applyPendingChange(changed, change)
    }
    return changed
  }
}

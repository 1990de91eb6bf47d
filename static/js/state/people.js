// Who is in the room, and the names of everybody who is or was there.

import { nameSkeleton, normalizeName } from "../lib/names.js"
import { isBlank, truncate } from "../lib/text.js"

/** @import { Joined, Person, Presence, Row } from "../wire.js" */
/** @typedef {Omit<Presence, "label">} PresenceUpdate */

const MAX_SUGGESTIONS = 6

/** Dispatches `change`. */
export class People extends EventTarget {
  /** How many people are in the room; may be more than `present`. */
  count = 0
  /** Whether the server currently does not know of everybody. */
  isPartial = false
  /** @type {Map<string, Person>} the people in the room, by mark */
  #present = new Map()
  /** @type {Map<string, string>} names from messages, by mark; the last speaker comes last */
  #names = new Map()
  /** @type {PresenceUpdate[]} updates that came before the answer to `join` */
  #updatesBeforeJoin = []
  /** @type {number | null} the number of the last update; null before the room is joined */
  #state = null

  /** "1 person here", "2 people here". */
  get summary() {
    return this.count === 1 ? "1 person here" : `${this.count} people here`
  }

  /**
   * The people in the room by name; those without a name come last.
   *
   * @returns {{ mark: string, name: string }[]}
   */
  get present() {
    const people = [...this.#present.keys()].map((mark) => ({ mark, name: this.nameOf(mark) }))
    return people.sort(compareNames)
  }

  /**
   * @param {string} mark
   * @returns {string} the latest known name, or ""
   */
  nameOf(mark) {
    return this.#names.get(mark) ?? this.#present.get(mark)?.handle ?? ""
  }

  /** The connection is lost: the next updates belong to the next time the room is joined. */
  disconnect() {
    this.#updatesBeforeJoin = []
    this.#state = null
  }

  /**
   * Starts with the people in the answer to `join`.
   *
   * @param {Pick<Joined, "people" | "count" | "state" | "partial">} joined
   */
  reset({ people = [], count = people.length, state = 0, partial = false }) {
    this.#state = -1
    this.applyPresence({ state, here: people, gone: [], count, partial, all: true })
    for (const update of this.#updatesBeforeJoin.splice(0)) this.applyPresence(update)
  }

  /**
   * Applies who has come and gone; older updates are dropped.
   *
   * @param {PresenceUpdate} update
   */
  applyPresence(update) {
    if (this.#state === null) {
      this.#updatesBeforeJoin.push(update)
      return
    }
    if (update.state <= this.#state) return
    if (update.all) this.#present.clear()
    for (const mark of update.gone) this.#present.delete(mark)
    for (const person of update.here) this.#present.set(person.mark, person)
    this.#state = update.state
    this.count = update.count
    this.isPartial = update.partial ?? false
    this.dispatchEvent(new Event("change"))
  }

  /**
   * Takes over the names that messages contain.
   *
   * @param {Row[]} rows
   */
  learnNames(rows) {
    let hasChanged = false
    for (const row of rows) {
      const name = nameIn(row)
      if (!name) continue
      if (this.#names.get(row.mark) !== name) hasChanged = true
      this.#names.delete(row.mark) // so that the last speaker comes last
      this.#names.set(row.mark, name)
    }
    if (hasChanged) this.dispatchEvent(new Event("change"))
  }

  /**
   * People whose name begins with a prefix: first those in the room, then the latest speakers.
   *
   * @param {string} prefix
   * @param {string} ownMark
   */
  suggest(prefix, ownMark) {
    const wanted = normalizeName(prefix)
    const speakers = [...this.#names].map(([mark, name]) => ({ mark, name })).reverse()
    /** @type {Map<string, { mark: string, name: string }>} */
    const suggestions = new Map()
    for (const person of [...this.present, ...speakers]) {
      const isCandidate = person.mark !== ownMark && person.name !== ""
      if (isCandidate && hasWordWithPrefix(person.name, wanted)) {
        suggestions.set(person.name, person)
      }
    }
    return [...suggestions.values()].slice(0, MAX_SUGGESTIONS)
  }

  /**
   * A free name like the given one, when somebody else in the room has that name already, or one
   * that looks like it. The server knows also the names of those who are not in the room.
   *
   * @param {string} name
   * @param {string} ownMark
   * @param {number} maxCharacters of a name
   * @returns {string} "" when the name is free
   */
  alternativeName(name, ownMark, maxCharacters) {
    const others = this.present.filter((person) => person.mark !== ownMark && person.name !== "")
    const taken = new Set(others.map((person) => nameSkeleton(person.name)))
    const isTaken = (/** @type {string} */ candidate) => taken.has(nameSkeleton(candidate))
    if (isBlank(name) || !isTaken(name)) return ""
    let number = 2
    while (isTaken(numberedName(name, number, maxCharacters))) number += 1
    return numberedName(name, number, maxCharacters)
  }
}

/**
 * @param {string} name
 * @param {number} number
 * @param {number} maxCharacters
 */
function numberedName(name, number, maxCharacters) {
  const suffix = ` ${number}`
  return truncate(name, maxCharacters - suffix.length).trimEnd() + suffix
}

/**
 * The name of the author after a message, or "".
 *
 * @param {Row} row
 */
function nameIn({ kind, handle, message }) {
  if (kind === "rename") return message
  return kind ? "" : handle
}

/**
 * @param {{ name: string }} a
 * @param {{ name: string }} b
 */
function compareNames(a, b) {
  if (!a.name !== !b.name) return a.name ? -1 : 1
  return a.name.localeCompare(b.name)
}

/**
 * @param {string} name
 * @param {string} prefix normalized
 */
function hasWordWithPrefix(name, prefix) {
  const normalized = normalizeName(name)
  return normalized.startsWith(prefix) || normalized.includes(` ${prefix}`)
}

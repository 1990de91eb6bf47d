// Who is here, and what everybody is called. Knows no page and no socket.

/** @import { Joined, Presence, Row, Somebody } from "./wire.js" */

const MARKS = /\p{M}/gu

/** A name as it is compared: without accents, in one case. @param {string} name */
export const plainName = (name) => name.normalize("NFKD").replace(MARKS, "").toLowerCase().trim()

/** What a name looks like; nothing, where letters of another alphabet may look like ours. @param {string} name */
export const lookOf = (name) => (/[\p{Script=Greek}\p{Script=Cyrillic}]/u.test(name) ? "" : plainName(name).replace(/[il1|]/g, "l").replaceAll("0", "o"))

/** Dispatches `change`. */
export class People extends EventTarget {
  count = 0
  partial = false // the server does not hear of everybody just now
  /** @type {Map<string, Somebody>} by mark */ #here = new Map()
  /** @type {Map<string, string>} by mark: what we have heard them called, the latest speaker last */ #names = new Map()
  /** @type {Omit<Presence, "label">[]} what was told before the room was joined */ #early = []
  #state = Infinity // before the first time
  name = (/** @type {string} */ mark) => this.#names.get(mark) ?? this.#here.get(mark)?.handle ?? ""

  /** How many are here, in words. */
  get counted() {
    return this.count === 1 ? "1 person here" : `${this.count} people here`
  }

  /** The line is down: what is told next belongs to the next time we join. */
  leave() {
    this.#early = []
    this.#state = Infinity
  }

  /** Everybody, as joining has it. @param {Pick<Joined, "people" | "count" | "state" | "partial">} joined */
  join({ people = [], count = people.length, state = 0, partial = false }) {
    this.#state = -1
    this.hear({ state, here: people, gone: [], count, partial, all: true })
    for (const told of this.#early.splice(0)) this.hear(told)
  }

  /** Who has come and gone. @param {Omit<Presence, "label">} told */
  hear(told) {
    const { state, here, gone, count, partial = false, all } = told
    if (this.#state === Infinity) return void this.#early.push(told)
    if (state <= this.#state) return
    if (all) this.#here.clear()
    for (const mark of gone) this.#here.delete(mark)
    for (const each of here) this.#here.set(each.mark, each)
    this.#state = state
    Object.assign(this, { count, partial })
    this.dispatchEvent(new Event("change"))
  }

  /** What messages tell of names. @param {Row[]} rows */
  learn(rows) {
    let news = false
    for (const { mark, handle, message, kind } of rows) {
      const name = kind === "rename" ? message : kind ? "" : handle
      if (!name) continue
      news ||= this.#names.get(mark) !== name
      this.#names.delete(mark)
      this.#names.set(mark, name)
    }
    if (news) this.dispatchEvent(new Event("change"))
  }

  /** Those who are here; who has no name yet comes last. @returns {{ mark: string, name: string }[]} */
  get here() {
    const all = [...this.#here.keys()].map((mark) => ({ mark, name: this.name(mark) }))
    return all.sort((a, b) => Number(!a.name) - Number(!b.name) || a.name.localeCompare(b.name))
  }

  /** Whom one may mean by the beginning of a name: those who are here, then those who have spoken. @param {string} begun @param {string} me */
  meant(begun, me) {
    const wanted = plainName(begun)
    const spoken = [...this.#names.keys()].reverse().map((mark) => ({ mark, name: this.name(mark) }))
    const fits = [...this.here, ...spoken].filter(({ mark, name }) => mark !== me && name && begins(plainName(name), wanted))
    return [...new Map(fits.map((each) => [each.name, each])).values()].slice(0, 6)
  }

  /** Another name, when somebody else who is here is called like that. @param {string} name @param {string} me */
  another(name, me) {
    const taken = new Set(this.here.filter(({ mark }) => mark !== me).map((each) => plainName(each.name)))
    if (!plainName(name) || !taken.has(plainName(name))) return ""
    let number = 2
    while (taken.has(plainName(`${name} ${number}`))) number += 1
    return `${name} ${number}`
  }
}

/** The whole name, or one of its words. @param {string} name @param {string} wanted */
const begins = (name, wanted) => name.startsWith(wanted) || name.includes(` ${wanted}`)

// What the tabs of a room share: what is still to be sent, kept where a reload finds it too, and which of them sends it.

/** @import { Clock } from "./clock.js" */
/** @import { Item } from "./wire.js" */
/** @typedef {() => Promise<() => void>} Lead resolves when the lead is ours, with how to hand it on */
/** @typedef {Pick<globalThis.Storage, "getItem" | "setItem" | "removeItem">} Slate */
/** @typedef {Slate & Pick<globalThis.Storage, "key" | "length">} Area */

const RENEW_MS = 2000
const LEASE_MS = 6000
const LOOK_MS = 500

/**
 * localStorage and not IndexedDB, because it has written when `put` returns: a message is kept in the turn of its Enter,
 * before the composer lets go of the words and before the network hears of them, with no promise between that a closing
 * tab could lose. It survives a reload and a crash; a power cut may cost its last seconds, as it may in IndexedDB. A full
 * outbox is under a megabyte of its five. What it cannot keep, full or forbidden, `put` says, and the page says.
 * Entries of their own, because tabs that write at once must not overwrite one another's.
 */
export class OutboxStore {
  #prefix
  #area
  #page

  /** @param {string} label @param {() => Area} area merely naming localStorage can throw @param {EventTarget} page where the other tabs' writing is heard */
  constructor(label, area = () => globalThis.localStorage, page = globalThis) {
    this.#prefix = `confab:outbox:${label}:`
    this.#area = area
    this.#page = page
  }

  /** Whether it is kept now. @param {Item} item */
  put = (item) => attempt(() => (this.#area().setItem(this.#prefix + item.id, JSON.stringify(item)), true), false)
  /** Where nothing may be kept, nothing is. @param {string} id */
  drop = (id) => attempt(() => this.#area().removeItem(this.#prefix + id), undefined)
  /** Everything that is kept, the oldest first. */
  all = () => attempt(() => this.#read(this.#area()), [])

  /** @param {Area} area */
  #read(area) {
    const keys = Array.from({ length: area.length }, (_, place) => area.key(place) ?? "")
    const kept = keys.filter((key) => key.startsWith(this.#prefix)).map((key) => read(area.getItem(key)))
    return kept.filter((item) => item !== null).sort((a, b) => a.at - b.at)
  }

  /** Another tab has put something, or dropped it: then there is no item. @param {(id: string, item: Item | null) => void} tell */
  hear(tell) {
    this.#page.addEventListener("storage", (event) => {
      const { key, newValue } = /** @type {StorageEvent} */ (event)
      if (key?.startsWith(this.#prefix)) tell(key.slice(this.#prefix.length), read(newValue))
    })
  }
}

/** Whoever else writes into the storage of this address breaks nothing here. @param {string | null} text */
function read(text) {
  return attempt(() => {
    /** @type {Item} */
    const item = JSON.parse(text ?? "null")
    const whole = [item.id, item.handle, item.message, item.timestamp, item.state].every((part) => typeof part === "string")
    return whole && Number.isFinite(item.at) ? item : null
  }, null)
}

/** The browser's own locks: handed on by themselves when a tab is closed or crashes. @param {string} name @param {Pick<LockManager, "request">} locks @returns {Lead} */
export function lockLead(name, locks) {
  return () =>
    new Promise((lead) => {
      const holding = () =>
        new Promise((handOn) => {
          lead(() => handOn(undefined))
        })
      // Two senders do no harm, since an id is stored once; no sender at all would.
      locks.request(name, holding).catch(() => lead(() => {}))
    })
}

/**
 * Plain http has no locks. A lease in localStorage keeps the tabs apart nearly always, and ends by itself with its tab;
 * the rest is harmless: whatever two tabs send, an id is stored once.
 * @param {string} name @param {{ clock: Clock, area: () => Slate, me: string }} parts @returns {Lead}
 */
export function leaseLead(name, { clock, area, me }) {
  const key = `confab:lease:${name}`
  const write = () => area().setItem(key, JSON.stringify({ me, until: clock.now() + LEASE_MS }))
  const free = () => {
    const lease = JSON.parse(area().getItem(key) ?? "null")
    // A lease that ends later than any lease can was given by a clock that has been set back.
    return !lease || lease.me === me || !(lease.until > clock.now() && lease.until <= clock.now() + LEASE_MS)
  }
  const hold = () => {
    write()
    let callOff = clock.later(RENEW_MS, function renew() {
      attempt(write, undefined)
      callOff = clock.later(RENEW_MS, renew)
    })
    return () => {
      callOff()
      attempt(() => free() && area().removeItem(key), undefined)
    }
  }
  return () =>
    new Promise((lead) => {
      const look = () => {
        // Where nothing can be kept there is nothing to share either.
        const taken = attempt(() => (free() ? hold() : null), () => {})
        if (taken) lead(taken)
        else clock.later(LOOK_MS, look)
      }
      look()
    })
}

/** A storage may be forbidden, or full. @template T @template U @param {() => T} work @param {U} otherwise @returns {T | U} */
function attempt(work, otherwise) {
  try {
    return work()
  } catch {
    return otherwise
  }
}

// One sender among the tabs of a room: whoever holds the lead sends, the others wait for it.

/** @import { Clock } from "./clock.js" */
/** @typedef {() => Promise<() => void>} Lead resolves when the lead is ours, with how to hand it on */
/** @typedef {Pick<globalThis.Storage, "getItem" | "setItem" | "removeItem">} Area */

const RENEW_MS = 2000
const LEASE_MS = 6000
const LOOK_MS = 500

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
 * @param {string} name @param {{ clock: Clock, area: () => Area, me: string }} parts @returns {Lead}
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
      attempt(write)
      callOff = clock.later(RENEW_MS, renew)
    })
    return () => {
      callOff()
      attempt(() => free() && area().removeItem(key))
    }
  }
  return () =>
    new Promise((lead) => {
      const look = () => {
        const taken = attempt(() => (free() ? hold() : null), () => {})
        if (taken) lead(taken)
        else clock.later(LOOK_MS, look)
      }
      look()
    })
}

/** Where nothing can be kept there is nothing to share either. @template T @param {() => T} work @param {T} [otherwise] @returns {T | undefined} */
function attempt(work, otherwise) {
  try {
    return work()
  } catch {
    return otherwise
  }
}

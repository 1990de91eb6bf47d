// Elects one tab of a room to send the messages of all its tabs.

import { attempt } from "../lib/attempt.js"
import { storagePrefix } from "../lib/site.js"

/** @import { Clock } from "../lib/clock.js" */

/**
 * Waits until this tab is the leader; resolves with a function that gives up the leadership.
 *
 * @typedef {() => Promise<() => void>} Elect
 */

const LEASE_RENEWAL_MS = 2000
const LEASE_DURATION_MS = 6000
const LEASE_POLL_MS = 500

/**
 * Leader election with the Web Locks API: the browser releases the lock of a tab that is closed or
 * crashes.
 *
 * @param {string} name
 * @param {Pick<LockManager, "request">} locks
 * @returns {Elect}
 */
export function electWithLock(name, locks) {
  return () =>
    new Promise((resolve) => {
      const holdLock = () =>
        new Promise((release) => {
          resolve(() => release(undefined))
        })
      // Where locks are refused, every tab leads. Two senders do no harm, since the server stores
      // an id once; no sender at all would lose messages.
      locks.request(name, holdLock).catch(() => resolve(() => {}))
    })
}

/**
 * Leader election with a lease in localStorage, for plain http, where the Web Locks API does not
 * exist.
 *
 * The lease of a tab that is closed or crashes expires. Two tabs may lead at once for a moment:
 * that does no harm, since the server stores an id once.
 *
 * @param {string} label of the room: forgetting the room removes the lease of a tab that crashed
 * @param {{ clock: Clock, getStorage: () => Pick<Storage, "getItem" | "setItem" | "removeItem">,
 *   tabId: string }} dependencies
 * @returns {Elect}
 */
export function electWithLease(label, { clock, getStorage, tabId }) {
  const lease = new Lease(`${storagePrefix}lease:${label}`, { clock, getStorage, tabId })
  return () =>
    new Promise((resolve) => {
      const poll = () => {
        const release = lease.acquire()
        if (release) resolve(release)
        else clock.schedule(LEASE_POLL_MS, poll)
      }
      poll()
    })
}

class Lease {
  #storageKey
  #clock
  #getStorage
  #tabId

  /**
   * @param {string} storageKey
   * @param {{ clock: Clock, getStorage: () => Pick<Storage, "getItem" | "setItem" | "removeItem">,
   *   tabId: string }} dependencies
   */
  constructor(storageKey, { clock, getStorage, tabId }) {
    this.#storageKey = storageKey
    this.#clock = clock
    this.#getStorage = getStorage
    this.#tabId = tabId
  }

  /**
   * Takes the lease and keeps renewing it.
   *
   * @returns {(() => void) | null} a function that releases it; null when another tab holds it
   */
  acquire() {
    try {
      if (!this.#isAvailable()) return null
      this.#write()
    } catch {
      return () => {} // without storage the tabs share nothing, and each leads
    }
    let cancelRenewal = () => {}
    const renew = () => {
      attempt(() => this.#renew(), undefined)
      cancelRenewal = this.#clock.schedule(LEASE_RENEWAL_MS, renew)
    }
    cancelRenewal = this.#clock.schedule(LEASE_RENEWAL_MS, renew)
    return () => {
      cancelRenewal()
      attempt(() => this.#remove(), undefined)
    }
  }

  #isAvailable() {
    const lease = JSON.parse(this.#getStorage().getItem(this.#storageKey) ?? "null")
    if (!lease || lease.me === this.#tabId) return true
    const now = this.#clock.now()
    // A lease that ends later than any lease can was written before the clock was set back.
    const isValid = lease.until > now && lease.until <= now + LEASE_DURATION_MS
    return !isValid
  }

  /** While the computer slept, another tab may have taken the lease. */
  #renew() {
    if (this.#isAvailable()) this.#write()
  }

  #write() {
    const lease = { me: this.#tabId, until: this.#clock.now() + LEASE_DURATION_MS }
    this.#getStorage().setItem(this.#storageKey, JSON.stringify(lease))
  }

  #remove() {
    if (this.#isAvailable()) this.#getStorage().removeItem(this.#storageKey)
  }
}

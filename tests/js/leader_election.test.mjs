// Leader election between the tabs of a room.

import assert from "node:assert/strict"
import { beforeEach, test } from "node:test"

import { electWithLease, electWithLock } from "../../static/js/state/leader_election.js"
import { FakeClock, FakeLocks, FakeStorage, flushPromises } from "./fakes.mjs"

const LEASE_KEY = "confab:lease:kitchen"

let clock
let storage

beforeEach(() => {
  clock = new FakeClock()
  storage = new FakeStorage()
})

function leaseFor(tabId) {
  const { getStorage } = storage.openTab()
  return electWithLease("kitchen", { clock, getStorage, tabId })
}

/** Elects a tab; the result says whether it leads yet. */
function watchElection(elect) {
  const election = { isLeader: false, release: () => {} }
  elect().then((release) => {
    election.isLeader = true
    election.release = release
  })
  return election
}

test("one tab at a time holds the lock", async () => {
  const locks = new FakeLocks()
  const first = watchElection(electWithLock("kitchen", locks))
  const second = watchElection(electWithLock("kitchen", locks))
  await flushPromises()
  assert.equal(first.isLeader, true)
  assert.equal(second.isLeader, false)

  first.release()
  await flushPromises()
  assert.equal(second.isLeader, true)
})

test("where locks are refused, every tab leads", async () => {
  const locks = { request: async () => Promise.reject(new Error("SecurityError")) }
  const election = watchElection(electWithLock("kitchen", locks))
  await flushPromises()

  assert.equal(election.isLeader, true)
})

test("the lease of a tab that crashed expires", async () => {
  const lease = { me: "crashed", until: clock.now() + 6000 }
  storage.entries.set(LEASE_KEY, JSON.stringify(lease))
  const election = watchElection(leaseFor("ada"))
  await clock.advance(5900)
  assert.equal(election.isLeader, false)

  await clock.advance(1000)
  assert.equal(election.isLeader, true)
})

test("a lease is renewed until it is released", async () => {
  const first = watchElection(leaseFor("one"))
  const second = watchElection(leaseFor("two"))
  await clock.advance(20_000)
  assert.equal(first.isLeader, true)
  assert.equal(second.isLeader, false)

  first.release()
  await clock.advance(1000)
  assert.equal(second.isLeader, true)
})

test("a lease from before the clock was set back is invalid", async () => {
  const lease = { me: "other", until: clock.now() + 3600_000 }
  storage.entries.set(LEASE_KEY, JSON.stringify(lease))
  const election = watchElection(leaseFor("ada"))
  await flushPromises()

  assert.equal(election.isLeader, true)
})

test("a tab that has slept does not take the lease back from another one", async () => {
  const first = watchElection(leaseFor("one"))
  await flushPromises()
  assert.equal(first.isLeader, true)
  const lease = JSON.stringify({ me: "two", until: clock.now() + 6000 })
  storage.entries.set(LEASE_KEY, lease)
  await clock.advance(2500) // the first tab would renew its own

  assert.equal(storage.entries.get(LEASE_KEY), lease)
})

// Unread messages: their count, the divider above them, and when they are read.

import assert from "node:assert/strict"
import { beforeEach, test } from "node:test"

import { Preferences } from "../../static/js/state/preferences.js"
import { Unread } from "../../static/js/state/unread.js"
import { FakeClock, fakeGetStorage, row } from "./fakes.mjs"

let clock
let preferences
let isReading

beforeEach(() => {
  clock = new FakeClock()
  preferences = new Preferences(fakeGetStorage())
  isReading = true
})

/** Opens the page of the room with these messages. */
function openRoom(...seqs) {
  const unread = new Unread({ label: "kitchen", preferences, clock, isReading: () => isReading })
  unread.open(
    seqs.map((seq) => row(seq)),
    () => false,
  )
  return unread
}

test("on the first visit nothing is unread", () => {
  const unread = openRoom(1, 2)

  assert.equal(unread.divider, null)
  assert.equal(unread.count, 0)
  assert.equal(preferences.get("read:kitchen"), 2)
})

test("messages are counted while nobody reads, until they were read for a second", async () => {
  const unread = openRoom(1)
  isReading = false
  unread.addArrived([row(2)], 2)
  unread.addArrived([row(4), row(5)], 5)
  assert.equal(unread.count, 3)
  assert.deepEqual(unread.divider, { after: 1, text: "New" })

  isReading = true
  unread.updateReading()
  await clock.advance(900)
  assert.equal(unread.count, 3)
  await clock.advance(200)
  assert.equal(unread.count, 0)
  assert.deepEqual(unread.divider, { after: 1, text: "New" })
  assert.equal(preferences.get("read:kitchen"), 5)
})

test("reading for less than a second does not count", async () => {
  const unread = openRoom(1)
  isReading = false
  unread.addArrived([row(2)], 2)
  isReading = true
  unread.updateReading()
  await clock.advance(500)
  isReading = false
  unread.updateReading()
  await clock.advance(2000)

  assert.equal(unread.count, 1)
})

test("reading twice for half a second does not count", async () => {
  const unread = openRoom(1)
  isReading = false
  unread.addArrived([row(2)], 2)
  for (let time = 0; time < 2; time += 1) {
    isReading = true
    unread.updateReading()
    await clock.advance(600)
    isReading = false
    unread.updateReading()
  }
  await clock.advance(2000)

  assert.equal(unread.count, 1)
})

test("on the next visit the divider is where the last one ended, and moves with new messages", async () => {
  openRoom(1, 2)
  const unread = openRoom(1, 2, 3, 4)
  assert.deepEqual(unread.divider, { after: 2, text: "New" })
  assert.equal(unread.count, 2)

  await clock.advance(1100)
  isReading = false
  unread.addArrived([row(9)], 9)
  assert.deepEqual(unread.divider, { after: 8, text: "New" })
  unread.clearDivider()
  assert.equal(unread.divider, null)
})

test("messages that were visible when the page was closed are read", () => {
  const unread = openRoom(1)
  unread.addArrived([row(2)], 2)
  unread.close()

  assert.equal(openRoom(1, 2).divider, null)
})

// The stream rule and the row rule, one case after the other.

import assert from "node:assert/strict"
import { beforeEach, test } from "node:test"

import { Timeline } from "../../static/js/state/timeline.js"
import { page, row } from "./helpers.mjs"

/** @type {Timeline} */
let timeline
let steps
let arrived // places told as new

beforeEach(() => {
  timeline = new Timeline()
  timeline.load(page([row(1), row(2)]))
  steps = []
  arrived = []
  timeline.addEventListener("change", ({ detail }) => steps.push(...detail))
  timeline.addEventListener("arrived", ({ detail }) =>
    arrived.push(...detail.map(({ seq }) => seq)),
  )
})

const shown = () => timeline.rows.map(({ seq }) => seq)
const said = () => timeline.rows.map(({ message }) => message)
const mine = (id, message = "hello") => ({
  id,
  handle: "Ben",
  message,
  timestamp: row(1).timestamp,
  state: "queued",
})

test("Ada speaks, Ben hears", () => {
  timeline.applyLive(row(3, { message: "morning" }))

  assert.deepEqual(said(), ["number 1", "number 2", "morning"])
  assert.equal(timeline.applied, 3)
  assert.equal(timeline.isBehind, false)
})

test("what Ben has heard already he does not hear again", () => {
  timeline.applyLive(row(3))
  timeline.applyLive(row(3))
  timeline.applyLive(row(1, { message: "an echo of long ago" }))

  assert.deepEqual(said(), ["number 1", "number 2", "number 3"])
  assert.equal(steps.length, 1)
})

test("a message that overtakes another waits for it", () => {
  timeline.applyLive(row(4))
  assert.deepEqual(shown(), [1, 2])
  assert.equal(timeline.isBehind, true)

  timeline.applyLive(row(3))
  assert.deepEqual(shown(), [1, 2, 3, 4])
  assert.equal(timeline.isBehind, false)
})

test("what was lost comes with the next answer, and what was held follows it", () => {
  timeline.applyLive(row(6))
  timeline.merge({ messages: [row(3), row(4)], upto: 5, head: 5, epoch: "one" })

  assert.deepEqual(shown(), [1, 2, 3, 4, 6])
  assert.equal(timeline.applied, 6)
  assert.equal(timeline.isBehind, false)
})

test("an answer that is late takes nothing back", () => {
  for (const rev of [3, 4, 5]) timeline.applyLive(row(rev))
  timeline.merge({ messages: [row(3)], upto: 3, head: 3, epoch: "one" })

  assert.equal(timeline.applied, 5)
  assert.deepEqual(shown(), [1, 2, 3, 4, 5])
  assert.equal(timeline.isBehind, false)
})

test("an answer that is not whole leaves Ben behind until the rest is here", () => {
  timeline.merge({ messages: [row(3)], upto: 3, head: 4, epoch: "one" })
  assert.equal(timeline.isBehind, true)

  timeline.merge({ messages: [row(4)], upto: 4, head: 4, epoch: "one" })
  assert.equal(timeline.isBehind, false)
})

test("hearing how far the room has come is enough to know that something is missing", () => {
  timeline.observeHead(3)
  assert.equal(timeline.isBehind, true)

  timeline.observeHead(1)
  timeline.applyLive(row(3))
  assert.equal(timeline.isBehind, false)
})

test("Ada edits, and the message stays where it was said", () => {
  timeline.applyLive(row(3))
  timeline.applyLive(row(1, { rev: 4, message: "better", edited: row(4).timestamp }))

  assert.deepEqual(said(), ["better", "number 2", "number 3"])
  assert.deepEqual(arrived, [3])
})

test("Ada deletes, and an older answer does not bring the words back", () => {
  timeline.applyLive(row(2, { rev: 3, message: "", deleted: true }))
  timeline.merge({ messages: [row(2)], upto: 2, head: 3, epoch: "one" })

  assert.equal(timeline.rows[1].deleted, true)
})

test("an edit of what Ben has not loaded shows nothing, and leaves no hole above", () => {
  timeline.load(page([row(51), row(52)], { older: true }))
  timeline.applyLive(row(7, { rev: 53, message: "edited long after" }))

  assert.deepEqual(shown(), [51, 52])
  assert.equal(timeline.applied, 53)
})

test("an edit that comes while Ben asks for older messages is not forgotten", () => {
  timeline.load(page([row(51), row(52)], { older: true }))
  const asked = timeline.requestEarlier()
  timeline.applyLive(row(50, { rev: 53, message: "edited meanwhile" }))
  timeline.addEarlier(asked, {
    messages: [row(49), row(50)],
    older: true,
    newer: true,
    head: 52,
    epoch: "one",
  })

  assert.deepEqual(said(), ["number 49", "edited meanwhile", "number 51", "number 52"])
  assert.equal(timeline.hasOlder, true)
  assert.equal(timeline.applied, 53)
})

test("asking for older messages in vain changes nothing", () => {
  timeline.load(page([row(51)], { older: true }))
  timeline.addEarlier(timeline.requestEarlier(), null)

  assert.deepEqual(shown(), [51])
  assert.equal(timeline.hasOlder, true)
})

test("older messages that come after starting over do not leave a hole", () => {
  timeline.load(page([row(51)], { older: true }))
  const asked = timeline.requestEarlier()
  timeline.load(page([row(900)], { older: true }))
  timeline.addEarlier(asked, {
    messages: [row(50)],
    older: false,
    newer: true,
    head: 900,
    epoch: "one",
  })

  assert.deepEqual(shown(), [900])
  assert.equal(timeline.hasOlder, true)
})

test("a room restored from a backup starts over", () => {
  timeline.applyLive(row(4))
  timeline.load(page([row(1, { message: "restored" })], { epoch: "two" }))

  assert.deepEqual(said(), ["restored"])
  assert.equal(timeline.applied, 1)
  assert.equal(timeline.isBehind, false)
})

test("what Ben says stands at the end until it has its place", () => {
  timeline.addPending(mine("b"))
  timeline.applyLive(row(3))
  assert.deepEqual(
    timeline.pendingMessages.map(({ id }) => id),
    ["b"],
  )

  timeline.applyLive(row(4, { id: "b", message: "hello" }))
  assert.deepEqual(timeline.pendingMessages, [])
  assert.equal(steps.at(-1).pendingId, "b")
})

test("the answer to Ben's message and its event make one message, whichever is first", () => {
  const stored = row(3, { id: "b" })
  const answer = { seq: 3, rev: 3, head: 3, timestamp: stored.timestamp }

  timeline.addPending(mine("b"))
  timeline.confirmMessage(stored, answer)
  timeline.applyLive(stored)
  timeline.confirmMessage(stored, answer)

  assert.deepEqual(shown(), [1, 2, 3])
  assert.deepEqual(timeline.pendingMessages, [])
  assert.equal(timeline.isBehind, false)
})

test("an answer whose event was lost tells Ben that something is missing", () => {
  timeline.addPending(mine("b"))
  timeline.confirmMessage(row(4, { id: "b" }), {
    seq: 4,
    rev: 4,
    head: 4,
    timestamp: row(4).timestamp,
  })

  assert.deepEqual(shown(), [1, 2, 4])
  assert.equal(timeline.isBehind, true)
})

test("a message stored long ago and edited since does not come back with its old words", () => {
  timeline.load(page([row(51)], { older: true }))
  timeline.addPending(mine("b"))
  timeline.confirmMessage(row(7, { id: "b" }), {
    seq: 7,
    rev: 40,
    head: 51,
    timestamp: row(7).timestamp,
    duplicate: true,
  })

  assert.deepEqual(shown(), [51])
  assert.deepEqual(timeline.pendingMessages, [])
})

test("a message that is shown already is not expected once more", () => {
  timeline.applyLive(row(3, { id: "b" }))
  timeline.addPending(mine("b"))

  assert.deepEqual(timeline.pendingMessages, [])
})

test("what Ben has said stays expected when the room starts over", () => {
  timeline.addPending(mine("b"))
  timeline.load(page([row(1)], { epoch: "two" }))

  assert.deepEqual(
    timeline.pendingMessages.map(({ id }) => id),
    ["b"],
  )
})

test("what Ben gives up is gone", () => {
  timeline.addPending(mine("b"))
  timeline.removePending("b")
  timeline.removePending("b")

  assert.deepEqual(timeline.pendingMessages, [])
  assert.deepEqual(steps.at(-1), { removed: "b" })
})

test("what Ben said is stored, changed since, and further up than what is loaded: it does not wait at the end for ever", () => {
  timeline.addPending(mine("b"))
  timeline.confirmMessage(row(60, { id: "b" }), {
    seq: 60,
    rev: 61,
    head: 61,
    timestamp: row(60).timestamp,
  })
  assert.deepEqual(
    timeline.pendingMessages.map(({ id }) => id),
    ["b"],
  )

  timeline.load(page([row(900), row(901)], { older: true }), { after: 2, missed: 899 })
  assert.deepEqual(timeline.pendingMessages, [])
  assert.deepEqual(timeline.absence, { after: 2, missed: 899 })
})

test("starting over with another history says nothing of an absence", () => {
  timeline.load(page([row(900)], { older: true }), { after: 2, missed: 898 })
  timeline.load(page([row(1)], { epoch: "two" }))

  assert.equal(timeline.absence, null)
})

test("Ben's own row is found by the id he gave it", () => {
  timeline.applyLive(row(3, { id: "b" }))

  assert.equal(timeline.rowById("b").seq, 3)
  assert.equal(timeline.rowById("c"), undefined)
})

const kitchenOf = (count) => page(Array.from({ length: count }, (_, index) => row(index + 1)))
const answer = (from, to, more = {}) => ({
  messages: Array.from({ length: to - from + 1 }, (_, index) => row(from + index)),
  older: from > 1,
  newer: true,
  head: 1000,
  epoch: "one",
  ...more,
})

test("whoever follows keeps the newest three hundred, and can read back to the rest", () => {
  for (let seq = 3; seq <= 500; seq += 1) timeline.applyLive(row(seq))

  assert.ok(timeline.rows.length <= 320)
  assert.equal(timeline.rows.at(-1).seq, 500)
  assert.equal(timeline.hasOlder, true)
  assert.equal(timeline.hasNewer, false)
})

test("whoever reads back keeps what is read; what arrives is told and counted, but not shown until the newest is", () => {
  const reader = new Timeline(() => false)
  const told = []
  reader.addEventListener("arrived", ({ detail }) => told.push(...detail))
  reader.load(kitchenOf(310))
  for (let seq = 311; seq <= 340; seq += 1) reader.applyLive(row(seq))

  assert.equal(reader.hasNewer, true)
  assert.deepEqual(
    reader.rows.map(({ seq }) => seq),
    Array.from({ length: 300 }, (_, index) => index + 1),
  )
  assert.equal(told.length, 30)
  assert.equal(reader.applied, 340)

  reader.addLater(reader.requestLater(), { ...answer(301, 340), newer: false, head: 340 })
  assert.equal(reader.hasNewer, false)
  assert.equal(reader.rows.at(-1).seq, 340)
})

test("what is said while the last page is on its way is not lost", () => {
  const reader = new Timeline(() => false)
  reader.load(kitchenOf(310))
  for (let seq = 311; seq <= 330; seq += 1) reader.applyLive(row(seq))
  const asked = reader.requestLater()
  reader.applyLive(row(331))
  reader.addLater(asked, { ...answer(301, 330), newer: false, head: 330 })

  assert.equal(reader.rows.at(-1).seq, 331)
})

test("Ben jumps to another place, and back; what was said meanwhile is there", () => {
  timeline.load({ ...answer(951, 1000), upto: 1000, name: "", newer: false })
  timeline.replaceWindow(timeline.requestAround(500), answer(475, 524))
  assert.deepEqual([timeline.rows[0].seq, timeline.hasNewer, timeline.hasOlder], [475, true, true])

  timeline.addPending(mine("b"))
  timeline.applyLive(row(1001))
  assert.equal(timeline.rows.at(-1).seq, 524)
  assert.deepEqual(timeline.pendingMessages, [])

  const asked = timeline.requestAround()
  timeline.applyLive(row(1002))
  timeline.replaceWindow(asked, answer(952, 1001, { newer: false, head: 1001 }))
  assert.deepEqual(
    timeline.rows.slice(-2).map(({ seq }) => seq),
    [1001, 1002],
  )
  assert.equal(timeline.pendingMessages.length, 1)
})

test("a line that names the room is a row like any, and the newest one is its name", () => {
  timeline.applyLive(row(4, { kind: "title", message: "Supper" }))
  assert.equal(timeline.name, "")
  timeline.applyLive(row(3, { kind: "title", message: "Breakfast" }))
  assert.equal(timeline.name, "Supper")
  assert.equal(timeline.applied, 4)

  timeline.merge({
    messages: [row(5, { kind: "title", message: "" })],
    upto: 5,
    head: 5,
    epoch: "one",
  })
  assert.equal(timeline.name, "")
})

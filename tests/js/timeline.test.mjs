// The timeline: the rules for live events and rows, own messages, and the window on the history.

import assert from "node:assert/strict"
import { beforeEach, test } from "node:test"

import { Timeline } from "../../static/js/state/timeline.js"
import { page, row } from "./fakes.mjs"

let timeline
let updates
let arrivedSeqs
let deletedSeqs

beforeEach(() => {
  timeline = new Timeline()
  timeline.load(page([row(1), row(2)]))
  updates = []
  arrivedSeqs = []
  deletedSeqs = []
  timeline.addEventListener("change", ({ detail }) => updates.push(...detail))
  timeline.addEventListener("arrived", ({ detail }) => {
    arrivedSeqs.push(...detail.map(({ seq }) => seq))
  })
  timeline.addEventListener("deleted", ({ detail }) => deletedSeqs.push(...detail))
})

const shownSeqs = () => timeline.rows.map(({ seq }) => seq)
const shownTexts = () => timeline.rows.map(({ message }) => message)
const pendingIds = () => timeline.pendingMessages.map(({ id }) => id)

function pendingItem(id, message = "hello") {
  return { id, handle: "Ben", message, timestamp: row(1).timestamp, state: "queued" }
}

function answerFor(stored, changes = {}) {
  const { seq, rev, timestamp } = stored
  return { seq, rev, head: rev, timestamp, ...changes }
}

// Live events

test("the next live event is applied", () => {
  timeline.applyLive(row(3, { message: "morning" }))

  assert.deepEqual(shownTexts(), ["number 1", "number 2", "morning"])
  assert.equal(timeline.applied, 3)
  assert.equal(timeline.isBehind, false)
})

test("a live event that is applied already is dropped", () => {
  timeline.applyLive(row(3))
  timeline.applyLive(row(3))
  timeline.applyLive(row(1, { message: "an old version" }))

  assert.deepEqual(shownTexts(), ["number 1", "number 2", "number 3"])
  assert.equal(updates.length, 1)
})

test("a live event after a gap is held until the gap is filled", () => {
  timeline.applyLive(row(4))
  assert.deepEqual(shownSeqs(), [1, 2])
  assert.equal(timeline.isBehind, true)

  timeline.applyLive(row(3))
  assert.deepEqual(shownSeqs(), [1, 2, 3, 4])
  assert.equal(timeline.isBehind, false)
})

test("a catch-up fills the gap, and held events follow it", () => {
  timeline.applyLive(row(6))
  timeline.merge({ messages: [row(3), row(4)], upto: 5, head: 5, epoch: "one" })

  assert.deepEqual(shownSeqs(), [1, 2, 3, 4, 6])
  assert.equal(timeline.applied, 6)
  assert.equal(timeline.isBehind, false)
})

test("a late catch-up does not undo newer changes", () => {
  for (const rev of [3, 4, 5]) timeline.applyLive(row(rev))
  timeline.merge({ messages: [row(3)], upto: 3, head: 3, epoch: "one" })

  assert.equal(timeline.applied, 5)
  assert.deepEqual(shownSeqs(), [1, 2, 3, 4, 5])
  assert.equal(timeline.isBehind, false)
})

test("after an incomplete catch-up the timeline is behind until the rest is merged", () => {
  timeline.merge({ messages: [row(3)], upto: 3, head: 4, epoch: "one" })
  assert.equal(timeline.isBehind, true)

  timeline.merge({ messages: [row(4)], upto: 4, head: 4, epoch: "one" })
  assert.equal(timeline.isBehind, false)
})

test("a higher head shows that changes are missing", () => {
  timeline.observeHead(3)
  assert.equal(timeline.isBehind, true)

  timeline.observeHead(1)
  timeline.applyLive(row(3))
  assert.equal(timeline.isBehind, false)
})

// Rows

test("an edited message keeps its position", () => {
  timeline.applyLive(row(3))
  timeline.applyLive(row(1, { rev: 4, message: "better", edited: row(4).timestamp }))

  assert.deepEqual(shownTexts(), ["better", "number 2", "number 3"])
  assert.deepEqual(arrivedSeqs, [3])
})

test("an older version does not bring back a deleted text", () => {
  timeline.applyLive(row(2, { rev: 3, message: "", deleted: true }))
  timeline.merge({ messages: [row(2)], upto: 2, head: 3, epoch: "one" })

  assert.equal(timeline.rows[1].deleted, true)
})

test("a change of a message that is not loaded shows nothing and leaves no gap", () => {
  timeline.load(page([row(51), row(52)], { older: true }))
  timeline.applyLive(row(7, { rev: 53, message: "edited much later" }))

  assert.deepEqual(shownSeqs(), [51, 52])
  assert.equal(timeline.applied, 53)
})

test("a row with a new name of the room is a row like any other, and the newest one counts", () => {
  timeline.applyLive(row(4, { kind: "title", message: "Supper" }))
  assert.equal(timeline.name, "")
  timeline.applyLive(row(3, { kind: "title", message: "Breakfast" }))
  assert.equal(timeline.name, "Supper")
  assert.equal(timeline.applied, 4)

  const removal = row(5, { kind: "title", message: "" })
  timeline.merge({ messages: [removal], upto: 5, head: 5, epoch: "one" })
  assert.equal(timeline.name, "")
})

// Starting over

test("a room that was restored from a backup starts over", () => {
  timeline.applyLive(row(4))
  timeline.load(page([row(1, { message: "restored" })], { epoch: "two" }))

  assert.deepEqual(shownTexts(), ["restored"])
  assert.equal(timeline.applied, 1)
  assert.equal(timeline.isBehind, false)
})

test("starting over with another history is no absence", () => {
  timeline.load(page([row(900)], { older: true }), { after: 2, missed: 898 })
  timeline.load(page([row(1)], { epoch: "two" }))

  assert.equal(timeline.absence, null)
})

// Earlier messages

test("an edit during a request for earlier messages is not lost", () => {
  timeline.load(page([row(51), row(52)], { older: true }))
  const request = timeline.requestEarlier()
  timeline.applyLive(row(50, { rev: 53, message: "edited meanwhile" }))
  timeline.addEarlier(request, {
    messages: [row(49), row(50)],
    older: true,
    newer: true,
    head: 52,
    epoch: "one",
  })

  assert.deepEqual(shownTexts(), ["number 49", "edited meanwhile", "number 51", "number 52"])
  assert.equal(timeline.hasOlder, true)
  assert.equal(timeline.applied, 53)
})

test("a failed request for earlier messages changes nothing", () => {
  timeline.load(page([row(51)], { older: true }))
  timeline.addEarlier(timeline.requestEarlier(), null)

  assert.deepEqual(shownSeqs(), [51])
  assert.equal(timeline.hasOlder, true)
})

test("earlier messages from before the timeline started over are dropped", () => {
  timeline.load(page([row(51)], { older: true }))
  const request = timeline.requestEarlier()
  timeline.load(page([row(900)], { older: true }))
  timeline.addEarlier(request, {
    messages: [row(50)],
    older: false,
    newer: true,
    head: 900,
    epoch: "one",
  })

  assert.deepEqual(shownSeqs(), [900])
  assert.equal(timeline.hasOlder, true)
})

// Own messages

test("an own message is pending until its row comes", () => {
  timeline.addPending(pendingItem("b"))
  timeline.applyLive(row(3))
  assert.deepEqual(pendingIds(), ["b"])

  timeline.applyLive(row(4, { id: "b", message: "hello" }))
  assert.deepEqual(pendingIds(), [])
  assert.equal(updates.at(-1).pendingId, "b")
})

test("the answer and the event of an own message make one row, in any order", () => {
  const stored = row(3, { id: "b" })
  timeline.addPending(pendingItem("b"))
  timeline.confirmMessage(stored, answerFor(stored))
  timeline.applyLive(stored)
  timeline.confirmMessage(stored, answerFor(stored))

  assert.deepEqual(shownSeqs(), [1, 2, 3])
  assert.deepEqual(pendingIds(), [])
  assert.equal(timeline.isBehind, false)
})

test("an answer whose event was lost shows that changes are missing", () => {
  const stored = row(4, { id: "b" })
  timeline.addPending(pendingItem("b"))
  timeline.confirmMessage(stored, answerFor(stored))

  assert.deepEqual(shownSeqs(), [1, 2, 4])
  assert.equal(timeline.isBehind, true)
})

test("a duplicate of a message that was edited since does not bring back its old text", () => {
  timeline.load(page([row(51)], { older: true }))
  timeline.addPending(pendingItem("b"))
  const stored = row(7, { id: "b" })
  timeline.confirmMessage(stored, answerFor(stored, { rev: 40, head: 51, duplicate: true }))

  assert.deepEqual(shownSeqs(), [51])
  assert.deepEqual(pendingIds(), [])
})

test("a message whose row is loaded does not become pending again", () => {
  timeline.applyLive(row(3, { id: "b" }))
  timeline.addPending(pendingItem("b"))

  assert.deepEqual(pendingIds(), [])
})

test("a pending message stays when the timeline starts over", () => {
  timeline.addPending(pendingItem("b"))
  timeline.load(page([row(1)], { epoch: "two" }))

  assert.deepEqual(pendingIds(), ["b"])
})

test("a discarded message is removed once", () => {
  timeline.addPending(pendingItem("b"))
  timeline.removePending("b")
  timeline.removePending("b")

  assert.deepEqual(pendingIds(), [])
  assert.deepEqual(updates.at(-1), { removed: "b" })
})

test("a stored message outside the window is not pending for ever", () => {
  const stored = row(60, { id: "b" })
  timeline.addPending(pendingItem("b"))
  timeline.confirmMessage(stored, answerFor(stored, { rev: 61, head: 61 }))
  assert.deepEqual(pendingIds(), ["b"])

  timeline.load(page([row(900), row(901)], { older: true }), { after: 2, missed: 899 })
  assert.deepEqual(pendingIds(), [])
  assert.deepEqual(timeline.absence, { after: 2, missed: 899 })
})

test("an own row is found by its id", () => {
  timeline.applyLive(row(3, { id: "b" }))

  assert.equal(timeline.rowById("b").seq, 3)
  assert.equal(timeline.rowById("c"), undefined)
})

// Own changes

function pendingChange(event, changes) {
  return { ...pendingItem(`${event}-1`, ""), event, seq: 1, ...changes }
}

test("an own edit is shown at once and over later changes, until its row comes", () => {
  timeline.load(page([row(1), row(2, { reply_to: 1 })]))
  timeline.addPending(pendingChange("edit", { message: "better" }))
  const redrawn = updates.map(({ row: { seq, message } }) => [seq, message])
  assert.deepEqual(redrawn, [
    [1, "better"],
    [2, "number 2"],
  ])
  assert.equal(timeline.rowAt(1).pending, true)

  timeline.applyLive(row(1, { rev: 3, reactions: { "👍": ["b"] } }))
  assert.equal(timeline.rowAt(1).message, "better")
  assert.deepEqual(timeline.rowAt(1).reactions, { "👍": ["b"] })
  timeline.confirmChange("edit-1", { rev: 4, head: 4 })
  assert.equal(timeline.rowAt(1).message, "better")
  assert.equal(timeline.isBehind, true)

  timeline.applyLive(row(1, { rev: 4, message: "better", edited: "then" }))
  assert.equal(timeline.rowAt(1).edited, "then")
  assert.equal(timeline.rowAt(1).pending, undefined)
})

test("an own change that is refused or discarded is undone", () => {
  timeline.addPending(pendingChange("edit", { message: "better" }))
  timeline.addPending(pendingChange("edit", { message: "better", state: "failed" }))
  assert.equal(updates.at(-1).row.message, "number 1")

  timeline.addPending(pendingChange("delete"))
  assert.equal(timeline.rowAt(1).deleted, true)
  timeline.removePending("delete-1")
  assert.equal(updates.at(-1).row.message, "number 1")
  assert.equal(timeline.rowAt(1).deleted, undefined)
})

// Quotes

test("a replied-to message that is not loaded is requested, and updated when it changes", () => {
  let requestCount = 0
  timeline.addEventListener("missingquote", () => {
    requestCount += 1
  })
  timeline.load(page([row(60, { reply_to: 5 })], { older: true }))
  timeline.applyLive(row(61))
  assert.equal(timeline.missingQuote, 5)
  assert.ok(requestCount > 0)

  timeline.addQuote(5, row(5))
  assert.equal(timeline.missingQuote, undefined)
  assert.equal(timeline.rowAt(5).message, "number 5")

  updates = []
  timeline.applyLive(row(5, { rev: 62, message: "", deleted: true }))
  assert.equal(timeline.rowAt(5).deleted, true)
  assert.deepEqual(
    updates.map((update) => update.row.seq),
    [60],
  )
  assert.deepEqual(shownSeqs(), [60, 61])
})

test("deletions are reported, whether the message is in the window or not", () => {
  timeline.load(page([row(60), row(61)], { older: true }))
  const tombstone = (seq, rev) => row(seq, { rev, message: "", deleted: true })

  timeline.applyLive(tombstone(61, 62))
  assert.deepEqual(deletedSeqs, [61])
  timeline.applyLive(tombstone(5, 63))
  assert.deepEqual(deletedSeqs, [61, 5])
  timeline.merge({ messages: [tombstone(6, 64)], upto: 64, head: 64, epoch: "one" })
  assert.deepEqual(deletedSeqs, [61, 5, 6])
  timeline.addQuote(7, tombstone(7, 50))
  assert.deepEqual(deletedSeqs, [61, 5, 6, 7])
  timeline.addPending({ ...pendingItem("delete-8"), event: "delete", seq: 8 })
  assert.deepEqual(deletedSeqs, [61, 5, 6, 7, 8])
  timeline.applyLive(row(65))
  assert.deepEqual(deletedSeqs, [61, 5, 6, 7, 8])
})

test("deletions in a page that starts over are reported", () => {
  timeline.load(page([row(60), row(61, { rev: 62, message: "", deleted: true })]))

  assert.deepEqual(deletedSeqs, [61])
})

// The window

const MAX_ROWS = 320

function rows(first, last) {
  return Array.from({ length: last - first + 1 }, (_, index) => row(first + index))
}

function historyPage(first, last, changes = {}) {
  const messages = rows(first, last)
  return { messages, older: first > 1, newer: true, head: 1000, epoch: "one", ...changes }
}

/** The timeline of somebody who reads earlier messages. */
function timelineFarBack() {
  const farBack = new Timeline(() => false)
  farBack.load(page(rows(1, 310)))
  return farBack
}

test("at the end the newest 300 messages are kept, and the others can be loaded again", () => {
  for (let seq = 3; seq <= 500; seq += 1) timeline.applyLive(row(seq))

  assert.ok(timeline.rows.length <= MAX_ROWS)
  assert.equal(timeline.rows.at(-1).seq, 500)
  assert.equal(timeline.hasOlder, true)
  assert.equal(timeline.hasNewer, false)
})

test("far back the messages that are read are kept, and new ones are announced but not shown", () => {
  const farBack = timelineFarBack()
  const arrived = []
  farBack.addEventListener("arrived", ({ detail }) => arrived.push(...detail))
  for (let seq = 311; seq <= 340; seq += 1) farBack.applyLive(row(seq))

  assert.equal(farBack.hasNewer, true)
  assert.deepEqual(farBack.rows, rows(1, 300))
  assert.equal(arrived.length, 30)
  assert.equal(farBack.applied, 340)

  const request = farBack.requestLater()
  farBack.addLater(request, historyPage(301, 340, { newer: false, head: 340 }))
  assert.equal(farBack.hasNewer, false)
  assert.equal(farBack.rows.at(-1).seq, 340)
})

test("a message that arrives during the request for the last page is not lost", () => {
  const farBack = timelineFarBack()
  for (let seq = 311; seq <= 330; seq += 1) farBack.applyLive(row(seq))
  const request = farBack.requestLater()
  farBack.applyLive(row(331))
  farBack.addLater(request, historyPage(301, 330, { newer: false, head: 330 }))

  assert.equal(farBack.rows.at(-1).seq, 331)
})

test("the window jumps to another message and back, with what arrived meanwhile", () => {
  timeline.load({ ...historyPage(951, 1000), upto: 1000, name: "", newer: false })
  timeline.replaceWindow(timeline.requestAround(500), historyPage(475, 524))
  assert.equal(timeline.rows[0].seq, 475)
  assert.equal(timeline.hasNewer, true)
  assert.equal(timeline.hasOlder, true)

  timeline.addPending(pendingItem("b"))
  timeline.applyLive(row(1001))
  assert.equal(timeline.rows.at(-1).seq, 524)
  assert.deepEqual(pendingIds(), [])

  const request = timeline.requestAround()
  timeline.applyLive(row(1002))
  timeline.replaceWindow(request, historyPage(952, 1001, { newer: false, head: 1001 }))
  assert.deepEqual(shownSeqs().slice(-2), [1001, 1002])
  assert.deepEqual(pendingIds(), ["b"])
})

test("rows that are not shown take no place, up to a limit", () => {
  const isHidden = ({ seq }) => seq > 100
  const flooded = new Timeline(() => true, isHidden)
  flooded.load({ ...historyPage(951, 1000), upto: 1000, name: "", newer: false })
  for (let first = 901; first > 0; first -= 50) {
    flooded.addEarlier(
      flooded.requestEarlier(),
      historyPage(first, first + 49, { older: first > 1 }),
    )
  }
  assert.equal(flooded.rows.length, 1000)
  assert.equal(flooded.hasNewer, false)

  for (let seq = 1001; seq <= 2100; seq += 1) flooded.applyLive(row(seq))
  assert.equal(flooded.rows.length, 2000)
  assert.equal(flooded.rows.at(-1).seq, 2100)
})

test("an own message that waits to be sent is redrawn when the one it replies to is deleted", () => {
  timeline.addPending({ ...pendingItem("b"), reply_to: 2 })
  updates = []
  timeline.applyLive(row(2, { rev: 3, message: "", deleted: true }))

  assert.deepEqual(
    updates.map((update) => update.item?.id ?? update.row.seq),
    [2, "b"],
  )
})

// Expired and cleared messages

test("messages up to the floor disappear, and are dispatched as deleted", () => {
  const floors = []
  timeline.addEventListener("floor", ({ detail }) => floors.push(detail))
  timeline.applyLive(row(3))
  updates = []

  timeline.raiseFloor(2)
  timeline.raiseFloor(1)
  timeline.raiseFloor(undefined)

  assert.deepEqual(shownSeqs(), [3])
  assert.deepEqual(updates, [{ removed: 1 }, { removed: 2 }])
  assert.deepEqual(deletedSeqs, [1, 2])
  assert.deepEqual(floors, [2])
  assert.equal(timeline.rowAt(1), undefined)
})

test("the answer to a catch-up raises the floor too", () => {
  const changes = { messages: [row(5)], upto: 5, head: 5, epoch: "one", floor: 4 }
  timeline.merge(changes)

  assert.deepEqual(shownSeqs(), [5])
  assert.deepEqual(deletedSeqs, [1, 2])
})

test("a late version of an expired message does not bring it back", () => {
  timeline.raiseFloor(2)
  timeline.applyLive(row(2, { rev: 3, message: "edited" }))
  const request = timeline.requestEarlier()
  timeline.addEarlier(request, { ...page([row(1)]), older: false, newer: false })

  assert.deepEqual(shownSeqs(), [])
  assert.equal(timeline.applied, 3)
})

test("of very many messages that expire at once only the latest are dispatched as deleted", () => {
  const messages = Array.from({ length: 20_000 }, (_, index) => row(index + 3))
  const head = messages.length + 2
  timeline.merge({ messages, upto: head, head, epoch: "one" })

  timeline.raiseFloor(head)

  assert.equal(deletedSeqs.length, 11_000)
  assert.equal(Math.max(...deletedSeqs), head)
  assert.deepEqual(shownSeqs(), [])
})

test("a message that has left the window is dispatched as deleted when it expires", () => {
  timeline.load(page([row(400)], { older: true }))
  timeline.raiseFloor(2)

  assert.deepEqual(shownSeqs(), [400])
  assert.deepEqual(deletedSeqs, [1, 2])
  assert.equal(timeline.hasOlder, true)
})

test("there is nothing before the loaded messages once all of it has expired", () => {
  timeline.load(page([row(400), row(401)], { older: true }))

  timeline.raiseFloor(399)

  assert.equal(timeline.hasOlder, false)
  assert.deepEqual(shownSeqs(), [400, 401])
})

test("a reply to an expired message loses its quote", () => {
  timeline.applyLive(row(3, { reply_to: 2 }))
  timeline.applyLive(row(4, { reply_to: 3 }))
  updates = []

  timeline.raiseFloor(2)

  assert.equal(timeline.rowAt(2), undefined)
  assert.equal(timeline.missingQuote, undefined)
  assert.deepEqual(
    updates.filter((update) => "row" in update).map((update) => update.row.seq),
    [3],
  )
})

test("a quote that is loaded after its message has expired counts as deleted", () => {
  timeline.raiseFloor(2)
  deletedSeqs = []

  timeline.addQuote(1, undefined)

  assert.deepEqual(deletedSeqs, [1])
})

test("starting over with another history forgets the cleared messages", () => {
  const floors = []
  timeline.addEventListener("floor", ({ detail }) => floors.push(detail))

  timeline.load({ ...page([row(4)]), epoch: "two", floor: 3 })

  assert.deepEqual(shownSeqs(), [4])
  assert.deepEqual(deletedSeqs, [1, 2])
  assert.deepEqual(floors, [3])
})

test("an unsent message stays when everything else has expired", () => {
  timeline.addPending(pendingItem("unsent-message-id"))

  timeline.raiseFloor(2)

  assert.deepEqual(shownSeqs(), [])
  assert.deepEqual(pendingIds(), ["unsent-message-id"])
})

test("a reader far back continues with the first message that still exists", () => {
  timeline.replaceWindow(timeline.requestAround(1), {
    ...page([row(1)]),
    older: false,
    newer: true,
  })

  timeline.raiseFloor(7)

  assert.deepEqual(shownSeqs(), [])
  assert.deepEqual(timeline.requestLater(), { after: 7 })
})

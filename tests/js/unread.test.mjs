// Unread messages: where they begin, how many there are, and when they are read.

import assert from "node:assert/strict"
import { beforeEach, test } from "node:test"

import { formatSince } from "../../static/js/lib/time.js"
import { Preferences } from "../../static/js/state/preferences.js"
import { Unread } from "../../static/js/state/unread.js"
import { unreadText } from "../../static/js/view/unread_bar.js"
import { FakeClock, FakeStorage, flushPromises, row } from "./fakes.mjs"

let clock
let storage
let isReading
let isDividerVisible
let ignoredMark

beforeEach(() => {
  clock = new FakeClock()
  storage = new FakeStorage()
  isReading = true
  isDividerVisible = true
  ignoredMark = ""
})

function openPreferences() {
  const { getStorage, storageEvents } = storage.openTab()
  return new Preferences(getStorage, storageEvents)
}

const stored = (key) => openPreferences().get(key)

/** Opens the page of the room with these messages. */
function openPage(
  rows,
  { hasOlder = false, applied = rows.at(-1)?.seq ?? 0, epoch = "one", ...conditions } = {},
) {
  const unread = new Unread({
    label: "kitchen",
    preferences: openPreferences(),
    clock,
    isReading: () => isReading,
    isDividerVisible: () => isDividerVisible,
    isMention: ({ message }) => message.includes("Ada"),
    isSkipped: ({ mark }) => mark === "me",
    isIgnored: (mark) => mark === ignoredMark,
    ...conditions,
  })
  unread.open(rows, { hasOlder, applied, epoch })
  return unread
}

const openRoom = (...seqs) => openPage(seqs.map((seq) => row(seq)))

/** The rows `first` to `last`, of which every tenth mentions the reader. */
function rowsBetween(first, last) {
  const rows = []
  for (let seq = first; seq <= last; seq += 1) {
    rows.push(row(seq, { message: seq % 10 === 0 ? "Ada, look" : "hello" }))
  }
  return rows
}

/** Reads everything, and comes back when only the last page of 300 new messages is loaded. */
async function returnAfter300() {
  openPage(rowsBetween(51, 100))
  await clock.advance(1100)
  isDividerVisible = false
  return openPage(rowsBetween(351, 400), { hasOlder: true })
}

test("on the first visit nothing is unread", () => {
  const unread = openRoom(1, 2)

  assert.equal(unread.divider, null)
  assert.equal(unread.summary, null)
  assert.equal(unread.count, 0)
  assert.equal(stored("read:kitchen").seq, 2)
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
  assert.equal(stored("read:kitchen").seq, 5)
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
  unread.dismiss()
  assert.equal(unread.divider, null)
})

test("messages that were visible when the page was closed are read", () => {
  const unread = openRoom(1)
  unread.addArrived([row(2)], 2)
  unread.close()

  assert.equal(openRoom(1, 2).divider, null)
})

test("messages of the last release's position are unread too, without a time", () => {
  openPreferences().set("read:kitchen", 1)
  const unread = openRoom(1, 2, 3)

  assert.equal(unread.count, 2)
  assert.equal(unreadText(unread.summary, clock.now()), "2 new")
})

// The unread position

test("300 new messages are counted, although only the last 50 are loaded", async () => {
  const unread = await returnAfter300()
  assert.deepEqual(unread.position.after, 100)
  assert.equal(unread.summary.count, 300)
  assert.equal(unread.needsCount, true)
  assert.match(
    unreadText(unread.summary, clock.now()),
    /^Up to 300 new since .*, at least 5 mention you$/,
  )

  unread.addMissed(
    { after: 100, missed: 300, messages: rowsBetween(101, 300) },
    rowsBetween(351, 400),
  )
  assert.match(
    unreadText(unread.summary, clock.now()),
    /^300 new since .*, at least 25 mention you$/,
  )
  assert.equal(unread.count, 300)

  unread.learn(rowsBetween(301, 400), { hasOlder: true })
  assert.match(unreadText(unread.summary, clock.now()), /^300 new since .*, 30 mention you$/)
})

test("numbers that are changes and not messages do not count once the server has counted", async () => {
  const unread = await returnAfter300()
  unread.addMissed(
    { after: 100, missed: 80, messages: rowsBetween(101, 120) },
    rowsBetween(351, 400),
  )

  assert.equal(unread.summary.count, 80)
  assert.equal(unread.summary.isExact, true)
})

test("the position stays after a reload, until the divider was on screen for a second", async () => {
  const first = await returnAfter300()
  await clock.advance(1100)
  assert.equal(first.count, 0, "the end was read")
  first.close()

  const second = openPage(rowsBetween(351, 400), { hasOlder: true })
  assert.equal(second.position.after, 100)
  assert.equal(second.summary.count, 300)
  assert.equal(second.count, 0)
  isDividerVisible = true
  second.updateReading()
  await clock.advance(500)
  assert.equal(second.position.after, 100)
  await clock.advance(600)
  assert.equal(second.summary, null)
  assert.deepEqual(second.divider, { after: 100, text: "New" })

  assert.equal(openPage(rowsBetween(351, 400), { hasOlder: true }).summary, null)
})

test("a position that is dismissed does not come back", async () => {
  const unread = await returnAfter300()
  unread.dismiss()
  assert.equal(unread.summary, null)
  assert.equal(unread.divider, null)

  assert.equal(openPage(rowsBetween(351, 400), { hasOlder: true }).summary, null)
})

test("messages that come after the position are counted with it; deleted and own ones are not", async () => {
  const unread = await returnAfter300()
  unread.addMissed({ after: 100, missed: 300, messages: [] }, rowsBetween(351, 400))
  unread.addArrived([row(401), row(402, { message: "Ada?" })], 403)
  assert.equal(unread.summary.count, 302)
  assert.equal(unread.summary.mentionCount, 6)
  unread.forget(402)

  assert.equal(unread.summary.count, 301)
  assert.equal(unread.summary.mentionCount, 5)
})

test("messages of somebody who is ignored are no longer counted, until that is undone", async () => {
  const unread = await returnAfter300()
  unread.addMissed({ after: 100, missed: 50, messages: [] }, rowsBetween(351, 400))
  unread.addArrived([row(401, { mark: "b" })], 401)
  assert.equal(unread.summary.count, 51)
  ignoredMark = row(1).mark
  assert.equal(unread.summary.count, 1)
  assert.equal(unread.summary.mentionCount, 0)
  ignoredMark = ""

  assert.equal(unread.summary.count, 51)
})

test("a second absence, with the position still there, is counted anew", async () => {
  const unread = await returnAfter300()
  unread.addMissed({ after: 100, missed: 300, messages: [] }, rowsBetween(351, 400))
  unread.addMissed({ after: 400, missed: 260, messages: [] }, rowsBetween(611, 660))
  assert.equal(unread.position.after, 100)
  assert.equal(unread.needsCount, true)
  unread.addMissed({ after: 100, missed: 560, messages: [] }, rowsBetween(611, 660))

  assert.equal(unread.summary.count, 560)
})

test("the time of the position is when the person stopped reading", async () => {
  const unread = openPage(rowsBetween(1, 10))
  await clock.advance(3_600_000)
  isReading = false
  unread.updateReading()
  const stoppedAt = clock.now()
  await clock.advance(3_600_000)
  unread.addArrived([row(11)], 11)

  assert.equal(unread.summary.since, stoppedAt)
})

test("the server's count of a position that was dismissed meanwhile is not used", async () => {
  const unread = await returnAfter300()
  const { position } = unread
  unread.dismiss()
  unread.addCount(position, { missed: 300, messages: [] }, rowsBetween(351, 400))

  assert.equal(unread.summary, null)
  assert.equal(unread.divider, null)
  assert.equal(unread.count, 0)
})

test("a deleted message is no longer counted in the title", () => {
  const unread = openRoom(1)
  isReading = false
  unread.addArrived([row(2), row(3)], 3)
  unread.forget(2)
  assert.equal(unread.count, 1)
  unread.forget(2)
  unread.forget(1)
  assert.equal(unread.count, 1)
  unread.learn([row(1), row(3, { message: "", mark: "", deleted: true })], { hasOlder: false })

  assert.equal(unread.count, 0)
  assert.equal(unread.summary.count, 0)
})

test("a deleted message that came during an absence is no longer counted in the title", async () => {
  const unread = openPage(rowsBetween(51, 100))
  await clock.advance(1100)
  isReading = false
  unread.addMissed({ after: 100, missed: 300, messages: [] }, rowsBetween(351, 400))
  assert.equal(unread.count, 300)
  unread.forget(390)

  assert.equal(unread.count, 299)
  assert.equal(unread.summary.count, 299)
})

test("messages of somebody who is ignored are not counted in the title, until that is undone", () => {
  const unread = openRoom(1)
  isReading = false
  unread.addArrived([row(2), row(3, { mark: "b" })], 3)
  ignoredMark = "b"
  unread.updateIgnored()
  assert.equal(unread.count, 1)
  ignoredMark = ""
  unread.updateIgnored()

  assert.equal(unread.count, 2)
})

test("of more than 10,000 unread messages only the number is remembered", () => {
  let comparedCount = 0
  const isIgnored = () => {
    comparedCount += 1
    return false
  }
  const unread = openPage([row(1)], { isIgnored })
  isReading = false
  for (let first = 2; first <= 40_000; first += 1000) {
    unread.addArrived(rowsBetween(first, first + 999), first + 999)
  }
  assert.equal(unread.count, 40_000)
  assert.equal(unread.summary.isExact, true)
  assert.equal(
    unreadText({ ...unread.summary, since: 0 }, 0),
    "10,000+ new, at least 1,000 mention you",
  )

  comparedCount = 0
  assert.equal(unread.summary.count, 40_000)
  assert.ok(comparedCount <= 11_000)
  comparedCount = 0
  assert.equal(unread.isIncomplete, true)
  assert.equal(comparedCount, 0)
})

// Several tabs

test("what was read in one tab is no longer counted in another one", async () => {
  const [first, second] = [openRoom(1), openPage([row(1)], { isReading: () => false })]
  first.addArrived([row(2), row(3)], 3)
  second.addArrived([row(2), row(3)], 3)
  assert.equal(second.count, 2)
  assert.equal(second.summary.count, 2)
  await clock.advance(1100)
  await flushPromises()

  assert.equal(second.count, 0)
  assert.equal(second.summary, null)
  assert.equal(openRoom(1, 2, 3).summary, null)
})

test("what comes after another tab has read is counted again", async () => {
  const [first, second] = [openRoom(1), openPage([row(1)], { isReading: () => false })]
  second.addArrived([row(2)], 2)
  first.addArrived([row(2)], 2)
  await clock.advance(1100)
  isReading = false
  second.addArrived([row(3)], 3)
  await flushPromises()

  assert.equal(second.count, 1)
  assert.equal(second.summary.count, 1)
})

test("a position that is dismissed in one tab disappears in the others", async () => {
  const first = await returnAfter300()
  const second = openPage(rowsBetween(351, 400), { hasOlder: true })
  first.dismiss()
  await flushPromises()

  assert.equal(second.summary, null)
  assert.equal(second.count, 0)
})

// Words

test("the number, the time and the mentions are said as far as they are known", () => {
  const summary = {
    count: 300,
    isExact: true,
    mentionCount: 12,
    areMentionsComplete: true,
    since: 0,
  }

  assert.equal(unreadText(summary, 0), "300 new, 12 mention you")
  assert.equal(unreadText({ ...summary, mentionCount: 1 }, 0), "300 new, 1 mentions you")
  assert.equal(unreadText({ ...summary, mentionCount: 0 }, 0), "300 new")
  assert.equal(unreadText({ ...summary, count: 10_000, mentionCount: 0 }, 0), "10,000+ new")
})

test("a time is said with its day, unless it was today", () => {
  const at = (...parts) => new Date(2026, 10, ...parts).getTime()
  const now = at(22, 9, 30)
  const time = (...parts) => formatSince(at(...parts), now).replace(/\s/g, " ")

  assert.match(time(22, 0, 5), /^(12:05 AM|0?0:05)$/)
  assert.match(time(21, 23, 10), /^yesterday (11:10 PM|23:10)$/)
  assert.match(time(18, 23, 10), /^Wednesday (11:10 PM|23:10)$/)
  assert.match(time(5, 23, 10), /^(November 5|5 November) (11:10 PM|23:10)$/)
})

test("unread messages that have expired no longer count", async () => {
  openRoom(1, 2)
  await clock.advance(1100)
  isReading = false
  isDividerVisible = false
  const unread = openRoom(1, 2, 3, 4, 5)
  assert.equal(unread.summary.count, 3)

  unread.forgetUpTo(4)

  assert.equal(unread.summary.count, 1)
  assert.equal(unread.count, 1)
  assert.deepEqual(unread.divider, { after: 4, text: "New" })
  assert.equal(stored("unread:kitchen").after, 4)
})

test("nothing is unread when all unread messages have expired", async () => {
  openRoom(1, 2)
  await clock.advance(1100)
  isReading = false
  isDividerVisible = false
  const unread = openRoom(1, 2, 3)

  unread.forgetUpTo(3)

  assert.equal(unread.summary, null)
  assert.equal(unread.count, 0)
  assert.equal(unread.divider, null)
  assert.equal(stored("unread:kitchen"), null)
})

test("unread messages that are not loaded are counted again when some have expired", async () => {
  const unread = await returnAfter300()

  unread.forgetUpTo(200)
  assert.equal(unread.needsCount, true)
  assert.equal(unread.summary.count, 200)

  unread.forgetUpTo(380)
  assert.equal(unread.needsCount, false)
  assert.equal(unread.summary.count, 20)
})

test("what is read after an absence stays read", async () => {
  const unread = openPage(rowsBetween(51, 100))
  await clock.advance(1100)
  isReading = false
  unread.updateReading()
  unread.addMissed({ after: 100, missed: 300, messages: [] }, rowsBetween(351, 400))
  assert.equal(unread.count, 300)
  isReading = true
  unread.updateReading()
  await clock.advance(1100)

  assert.equal(stored("read:kitchen").seq, 400)
  assert.equal(openPage(rowsBetween(351, 400), { hasOlder: true }).summary, null)
})

test("what another tab has read already is not unread in a tab that gets it later", async () => {
  const first = openRoom(1)
  const late = openPage([row(1)], { isReading: () => false })
  const afterAbsence = openPage([row(1)], { isReading: () => false })
  first.addArrived([row(2), row(3)], 3)
  await clock.advance(1100)
  late.addArrived([row(2), row(3)], 3)
  afterAbsence.addMissed({ after: 1, missed: 2, messages: [] }, [row(2), row(3)])

  for (const unread of [late, afterAbsence]) {
    assert.equal(unread.count, 0)
    assert.equal(unread.summary, null)
    assert.equal(unread.divider, null)
  }
  isReading = false
  first.updateReading()
  late.addArrived([row(4)], 4)
  assert.equal(late.count, 1)
  assert.deepEqual(late.divider, { after: 3, text: "New" })
})

test("a tab that has read less far does not end the count of an absence", async () => {
  const behind = openPage(rowsBetween(51, 100))
  const unread = openPage(rowsBetween(51, 100), { isReading: () => false })
  unread.addMissed({ after: 100, missed: 300, messages: [] }, rowsBetween(351, 400))
  isReading = false
  behind.updateReading()
  await flushPromises()

  assert.equal(unread.count, 300)
})

test("what was read of an earlier room with the same label is not read in the new one", async () => {
  openPage(rowsBetween(951, 1000))
  await clock.advance(1100)
  isReading = false
  const unread = openPage([row(1), row(2)], { epoch: "two" })
  assert.deepEqual([unread.count, stored("read:kitchen").seq], [0, 2])
  unread.addArrived([row(3)], 3)

  assert.equal(unread.count, 1)
})

test("after a cleared history the numbers go on, and what was read is read", async () => {
  openPage(rowsBetween(51, 100))
  await clock.advance(1100)
  isReading = false
  const unread = openPage([row(102)], { epoch: "two" })

  assert.equal(unread.count, 1)
})

test("after a backup was restored, messages with lower numbers count again", async () => {
  const unread = openPage(rowsBetween(51, 100))
  await clock.advance(1100)
  isReading = false
  unread.updateReading()
  unread.startOver({ applied: 50, epoch: "two", lastSeq: 50 })
  assert.equal(unread.count, 0)
  assert.equal(stored("read:kitchen").seq, 50)
  unread.addArrived([row(51)], 51)

  assert.equal(unread.count, 1)
  assert.deepEqual(unread.divider, { after: 50, text: "New" })
})

test("messages that are loaded anew from the same history change nothing", () => {
  const unread = openRoom(1)
  isReading = false
  unread.addArrived([row(2)], 2)
  unread.startOver({ applied: 2, epoch: "one", lastSeq: 2 })

  assert.equal(unread.count, 1)
})

test("when the history was cleared, a later message is still unread", async () => {
  const unread = openPage(rowsBetween(51, 100))
  await clock.advance(1100)
  isReading = false
  unread.updateReading()
  unread.addArrived([row(102)], 102)
  unread.startOver({ applied: 102, epoch: "two", lastSeq: 102 })

  assert.equal(unread.count, 1)
})

test("when a backup was restored, messages that do not exist any more are not unread", async () => {
  const unread = openPage(rowsBetween(1, 40))
  await clock.advance(1100)
  isReading = false
  unread.updateReading()
  unread.addArrived(rowsBetween(41, 100), 100)
  unread.startOver({ applied: 50, epoch: "two", lastSeq: 50 })

  assert.equal(unread.count, 10)
  assert.equal(unread.summary.count, 10)
})

test("a tab that has not noticed a restored backup does not decide what was read", async () => {
  const [first, other] = [openPage(rowsBetween(51, 100)), openPage(rowsBetween(51, 100))]
  await clock.advance(1100)
  first.startOver({ applied: 50, epoch: "two", lastSeq: 50 })
  other.close()
  first.addArrived([row(51)], 51)
  await clock.advance(1100)

  assert.deepEqual([stored("read:kitchen").seq, stored("read:kitchen").epoch], [51, "two"])
})

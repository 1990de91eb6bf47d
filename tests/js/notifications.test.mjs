// Notifications, and announcements to screen readers.

import assert from "node:assert/strict"
import { afterEach, beforeEach, test } from "node:test"

import { ServerClock } from "../../static/js/lib/server_clock.js"
import { Announcer } from "../../static/js/view/announcer.js"
import { Notifications } from "../../static/js/view/notifications.js"
import { FakeClock, fakePreferences, row } from "./fakes.mjs"

let clock
let preferences
let isWatched
let readSeq
let serverClock
let shownBodies
let announced
let closedCount

class FakeNotification extends EventTarget {
  static permission = "granted"

  constructor(title, { body }) {
    super()
    shownBodies.push(body)
  }

  close() {
    closedCount += 1
  }
}

class FakeParagraph {
  remove() {
    announced = announced.filter((text) => text !== this.textContent)
  }
}

beforeEach(() => {
  clock = new FakeClock()
  preferences = fakePreferences()
  isWatched = false
  readSeq = 0
  serverClock = new ServerClock(clock)
  shownBodies = []
  announced = []
  closedCount = 0
  globalThis.Notification = FakeNotification
  globalThis.document = { createElement: () => new FakeParagraph() }
})

afterEach(() => {
  delete globalThis.Notification
  delete globalThis.document
})

const mentionsBen = ({ message }) => message.includes("Ben")

function createNotifications(level = "mentions", isAddressedToMe = mentionsBen) {
  const notifications = new Notifications({
    label: "kitchen",
    preferences,
    clock,
    serverClock,
    getTitle: () => "kitchen",
    isAddressedToMe,
    isWatched: () => isWatched,
    getReadSeq: () => readSeq,
  })
  notifications.level = level
  return notifications
}

function createAnnouncer() {
  const region = { append: ({ textContent }) => announced.push(textContent) }
  return new Announcer(region, clock)
}

for (const prefix of ["x", "xx"]) {
  const message = prefix + "👍".repeat(400)

  test(`an announcement of a long message that begins with ${prefix} ends at a character`, async () => {
    createAnnouncer().announceMessages([row(1, { message })])
    await clock.advance(1000)

    assert.equal(announced.length, 1)
    assert.ok(announced[0].isWellFormed())
    assert.ok(announced[0].startsWith(`Ada: ${prefix}👍👍`))
  })

  test(`a notification of a long message that begins with ${prefix} ends at a character`, async () => {
    createNotifications("all").notify([row(1, { message })])
    await clock.advance(1000)

    assert.equal(shownBodies.length, 1)
    assert.ok(shownBodies[0].isWellFormed())
    assert.ok(shownBodies[0].startsWith(`Ada: ${prefix}👍👍`))
  })
}

test("of many messages at a time only the number is announced", async () => {
  const announcer = createAnnouncer()
  announcer.announceMessages([row(1), row(2)])
  announcer.announceMessages([row(3), row(4)])
  await clock.advance(1000)

  assert.deepEqual(announced, ["4 new messages"])
})

test("by default only mentions and replies are notified about", async () => {
  const rows = [row(1), row(2, { message: "hello Ben" }), row(3)]
  createNotifications().notify(rows)
  await clock.advance(1000)
  assert.deepEqual(shownBodies, ["Ada: hello Ben"])

  createNotifications("mentions", ({ seq }) => seq === 3).notify(rows)
  await clock.advance(1000)
  assert.equal(shownBodies.at(-1), "Ada: number 3")
  createNotifications("off").notify(rows)
  await clock.advance(1000)
  assert.equal(shownBodies.length, 2)
})

for (const aheadMinutes of [2, 600, -600]) {
  test(`a clock that is ${aheadMinutes} minutes ahead does not hide a new message`, async () => {
    clock.sleep(aheadMinutes * 60_000)
    serverClock.observe(row(0).timestamp)
    createNotifications("all").notify([row(1)])
    await clock.advance(1000)

    assert.deepEqual(shownBodies, ["Ada: number 1"])
  })
}

test("old messages are notified about with their number", async () => {
  clock.sleep(10 * 60_000)
  createNotifications("all").notify([row(1), row(2)])
  await clock.advance(1000)

  assert.deepEqual(shownBodies, ["2 new messages"])
})

test("a hidden tab does not notify about what another tab of the browser shows", async () => {
  const [hidden, watched] = [createNotifications("all"), createNotifications("all")]
  hidden.notify([row(1)])
  isWatched = true
  watched.notify([row(1)])
  isWatched = false
  hidden.notify([row(2, { message: "and now?" })])
  await clock.advance(1000)

  assert.deepEqual(shownBodies, ["Ada: and now?"])
})

test("nothing is notified about when the person has come back in the meantime", async () => {
  createNotifications("all").notify([row(1)])
  isWatched = true
  await clock.advance(1000)

  assert.deepEqual(shownBodies, [])
})

test("the notification of a deleted message is closed, or not shown at all", async () => {
  const notifications = createNotifications("all")
  notifications.notify([row(1)])
  await clock.advance(1000)
  notifications.forget(1)
  assert.equal(closedCount, 1)
  notifications.notify([row(2)])
  notifications.forget(2)
  await clock.advance(1000)

  assert.equal(shownBodies.length, 1)
})

test("a deleted message is not read out, and does not stay in the live region", async () => {
  const announcer = createAnnouncer()
  announcer.announceMessages([row(1), row(2, { message: "a secret" })])
  announcer.forget(2)
  await clock.advance(1000)
  assert.deepEqual(announced, ["Ada: number 1"])
  announcer.forget(1)

  assert.deepEqual(announced, [])
})

test("a tab that gets messages late does not notify about those that were read elsewhere", async () => {
  const notifications = createNotifications("all")
  readSeq = 2
  notifications.notify([row(1), row(2), row(3)])
  await clock.advance(1000)

  assert.deepEqual(shownBodies, ["Ada: number 3"])
  notifications.notify([row(3)])
  readSeq = 3
  await clock.advance(1000)
  assert.equal(shownBodies.length, 1)
})

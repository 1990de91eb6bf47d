// Notifications, and announcements to screen readers.

import assert from "node:assert/strict"
import { afterEach, beforeEach, test } from "node:test"

import { ServerClock } from "../../static/js/lib/server_clock.js"
import { Preferences } from "../../static/js/state/preferences.js"
import { Announcer } from "../../static/js/view/announcer.js"
import { Notifications } from "../../static/js/view/notifications.js"
import { FakeClock, fakeGetStorage, row } from "./fakes.mjs"

let clock
let serverClock
let shownBodies
let announced

class FakeNotification extends EventTarget {
  static permission = "granted"

  constructor(title, { body }) {
    super()
    shownBodies.push(body)
  }
}

beforeEach(() => {
  clock = new FakeClock()
  serverClock = new ServerClock(clock)
  shownBodies = []
  announced = []
  globalThis.Notification = FakeNotification
  globalThis.document = { createElement: () => ({ remove() {} }) }
})

afterEach(() => {
  delete globalThis.Notification
  delete globalThis.document
})

function createNotifications(level = "mentions", isReplyToMe = () => false) {
  const notifications = new Notifications({
    label: "kitchen",
    preferences: new Preferences(fakeGetStorage()),
    serverClock,
    getTitle: () => "kitchen",
    getName: () => "Ben",
    isReplyToMe,
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

  test(`a notification of a long message that begins with ${prefix} ends at a character`, () => {
    createNotifications("all").notify([row(1, { message })])

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

test("by default only mentions and replies are notified about", () => {
  const rows = [row(1), row(2, { message: "hello Ben" }), row(3)]
  createNotifications().notify(rows)
  assert.deepEqual(shownBodies, ["Ada: hello Ben"])

  createNotifications("mentions", ({ seq }) => seq === 3).notify(rows)
  assert.equal(shownBodies.at(-1), "Ada: number 3")
  createNotifications("off").notify(rows)
  assert.equal(shownBodies.length, 2)
})

for (const aheadMinutes of [2, 600, -600]) {
  test(`a clock that is ${aheadMinutes} minutes ahead does not hide a new message`, () => {
    clock.sleep(aheadMinutes * 60_000)
    serverClock.observe(row(0).timestamp)
    createNotifications("all").notify([row(1)])

    assert.deepEqual(shownBodies, ["Ada: number 1"])
  })
}

test("old messages are notified about with their number", () => {
  clock.sleep(10 * 60_000)
  createNotifications("all").notify([row(1), row(2)])

  assert.deepEqual(shownBodies, ["2 new messages"])
})

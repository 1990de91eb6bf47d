// The time of the server, on computers whose clock is wrong.

import assert from "node:assert/strict"
import { test } from "node:test"

import { ServerClock } from "../../static/js/lib/server_clock.js"
import {
  authorshipOf,
  continuesGroup,
  startsNewDay,
} from "../../static/js/view/message_grouping.js"
import { FakeClock } from "./fakes.mjs"

const MINUTE_MS = 60_000
const DAY_MS = 24 * 60 * MINUTE_MS
const SERVER_TIME = "2026-11-22T09:00:00.000Z" // at the beginning, the clock shows the same

for (const aheadMs of [0, 2 * MINUTE_MS, -2 * MINUTE_MS, DAY_MS, -400 * DAY_MS]) {
  test(`a clock that is ${aheadMs} ms ahead makes no difference`, () => {
    const clock = new FakeClock()
    clock.sleep(aheadMs)
    const serverClock = new ServerClock(clock)
    serverClock.observe(SERVER_TIME)
    clock.sleep(1000)

    assert.equal(serverClock.now(), Date.parse(SERVER_TIME) + 1000)
  })

  test(`a message that is not stored yet continues its group on a clock ${aheadMs} ms ahead`, () => {
    const clock = new FakeClock()
    clock.sleep(aheadMs)
    const serverClock = new ServerClock(clock)
    serverClock.observe(SERVER_TIME)
    const stored = authorshipOf("own", "Ada", SERVER_TIME)
    const pending = authorshipOf("own", "Ada", new Date(serverClock.now()).toISOString())

    assert.equal(startsNewDay(stored, pending), false)
    assert.equal(continuesGroup(stored, pending), true)
  })
}

test("an old message does not set the time back, and a late answer is corrected by a fast one", () => {
  const clock = new FakeClock()
  const serverClock = new ServerClock(clock)
  const timestampAgo = (ms) => new Date(clock.now() - ms).toISOString()

  serverClock.observe(timestampAgo(700))
  serverClock.observe(timestampAgo(20))
  serverClock.observe(timestampAgo(DAY_MS))

  assert.equal(serverClock.now(), clock.now() - 20)
})

test("the time when something came can be earlier than now", () => {
  const clock = new FakeClock()
  const serverClock = new ServerClock(clock)
  const receivedAt = clock.now()
  clock.sleep(5000)
  serverClock.observe(SERVER_TIME, receivedAt)

  assert.equal(serverClock.now(), Date.parse(SERVER_TIME) + 5000)
})

test("without a time of the server, the clock of this computer counts", () => {
  const clock = new FakeClock()

  assert.equal(new ServerClock(clock).now(), clock.now())
})

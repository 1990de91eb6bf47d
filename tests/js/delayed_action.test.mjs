// A delayed action happens once: after the delay, at once when the page is left, or not at all.

import assert from "node:assert/strict"
import { beforeEach, test } from "node:test"

import { DelayedAction } from "../../static/js/lib/delayed_action.js"
import { FakeClock } from "./fakes.mjs"

let action
let clock
let runCount

beforeEach(() => {
  clock = new FakeClock()
  runCount = 0
  action = new DelayedAction(
    () => {
      runCount += 1
    },
    5000,
    clock,
  )
})

test("it happens after the delay, and not before", async () => {
  await clock.advance(4999)
  assert.equal(runCount, 0)
  await clock.advance(1)
  assert.equal(runCount, 1)
})

test("it can be canceled", async () => {
  action.cancel()
  await clock.advance(5000)
  action.runNow()

  assert.equal(runCount, 0)
})

test("what has happened early does not happen again", async () => {
  action.runNow()
  action.runNow()
  await clock.advance(5000)

  assert.equal(runCount, 1)
})

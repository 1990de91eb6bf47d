// Noticing that the page is visible again, that the network is back, and that the computer has
// slept.

import assert from "node:assert/strict"
import { beforeEach, test } from "node:test"

import { detectWake } from "../../static/js/net/wake_detection.js"
import { FakeClock } from "./fakes.mjs"

let clock
let network
let page
let calls

beforeEach(() => {
  clock = new FakeClock()
  network = new EventTarget()
  page = Object.assign(new EventTarget(), { visibilityState: "visible" })
  calls = []
  detectWake(
    { clock, network, page },
    { onVisible: () => calls.push("visible"), onWake: () => calls.push("wake") },
  )
})

function setVisibility(state) {
  page.visibilityState = state
  page.dispatchEvent(new Event("visibilitychange"))
}

test("after less than a minute the page is visible again, after more the computer may have slept", async () => {
  setVisibility("hidden")
  await clock.advance(59_000)
  setVisibility("visible")
  assert.deepEqual(calls, ["visible"])

  setVisibility("hidden")
  await clock.advance(61_000)
  assert.deepEqual(calls, ["visible"])
  setVisibility("visible")
  assert.deepEqual(calls, ["visible", "wake"])
})

test("a network that is back may have changed", () => {
  network.dispatchEvent(new Event("online"))

  assert.deepEqual(calls, ["wake"])
})

test("a computer that has slept is noticed, a busy one is not", async () => {
  await clock.advance(20_000)
  clock.sleep(20_000)
  await clock.advance(5000)
  assert.deepEqual(calls, [])

  clock.sleep(40_000)
  await clock.advance(5000)
  assert.deepEqual(calls, ["wake"])
})

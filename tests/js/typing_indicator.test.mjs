// Who is typing: how long it is shown, and how often it is sent.

import assert from "node:assert/strict"
import { beforeEach, test } from "node:test"

import { TypingIndicator, typingSentence } from "../../static/js/view/typing_indicator.js"
import { FakeClock } from "./fakes.mjs"

let clock
let element
let indicator

beforeEach(() => {
  clock = new FakeClock()
  element = { textContent: "" }
  indicator = new TypingIndicator(element, clock)
})

test("typing is shown for five seconds, or until it is hidden", async () => {
  indicator.show({ mark: "b", handle: "Ben" })
  await clock.advance(3000)
  indicator.show({ mark: "b", handle: "Ben" })
  indicator.show({ mark: "c", handle: "Cy" })
  assert.equal(element.textContent, "Ben and Cy are typing")

  indicator.hide("c")
  await clock.advance(4999)
  assert.equal(element.textContent, "Ben is typing")
  await clock.advance(1)
  assert.equal(element.textContent, "")
})

test("the names of more than two people are not all shown", () => {
  assert.equal(typingSentence(["Ada", "Ben", "Cy"]), "Ada and 2 others are typing")
})

test("typing is sent every three seconds at most, and not in a large room", async () => {
  assert.equal(indicator.shouldSend(51), false)
  assert.equal(indicator.shouldSend(50), true)
  assert.equal(indicator.shouldSend(50), false)
  await clock.advance(3000)

  assert.equal(indicator.shouldSend(50), true)
})

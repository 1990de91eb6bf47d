// The countdown beside the composer: what it shows, and what is read out.

import assert from "node:assert/strict"
import { beforeEach, test } from "node:test"

import { SendCountdown } from "../../static/js/view/send_countdown.js"
import { FakeClock } from "./fakes.mjs"

let clock
let element
let outbox
let announced
let isConnected
let countdown

beforeEach(() => {
  clock = new FakeClock()
  element = { textContent: "" }
  outbox = { queuedCount: 0, queuedMessageCount: 0, waitsUntil: 0 }
  announced = []
  isConnected = true
  countdown = new SendCountdown(element, {
    clock,
    outbox,
    announce: (text) => announced.push(text),
    isConnected: () => isConnected,
  })
})

function wait(ms, queuedMessageCount = 1, changeCount = 0) {
  outbox.queuedMessageCount = queuedMessageCount
  outbox.queuedCount = queuedMessageCount + changeCount
  outbox.waitsUntil = clock.now() + ms
  countdown.update()
}

test("the seconds are counted down", async () => {
  wait(2500)
  assert.equal(element.textContent, "Sending in 3 s")
  await clock.advance(500)
  assert.equal(element.textContent, "Sending in 2 s")
  await clock.advance(1000)
  assert.equal(element.textContent, "Sending in 1 s")
})

test("it ends when nothing waits any more", async () => {
  wait(1000)
  await clock.advance(1000)
  assert.equal(element.textContent, "Sending…")

  outbox.queuedCount = 0
  countdown.update()

  assert.equal(element.textContent, "")
})

test("several messages are counted", () => {
  wait(1000, 3)
  assert.equal(element.textContent, "3 messages waiting, next in 1 s")
})

test("edits and reactions are not counted as messages", () => {
  wait(1000, 2, 3)
  assert.equal(element.textContent, "2 messages waiting, next in 1 s")
  wait(1000, 1, 3)
  assert.equal(element.textContent, "Sending in 1 s")
  wait(1000, 0, 3)
  assert.equal(element.textContent, "Sending in 1 s")
})

test("it is read out once, and again only after everything was sent", async () => {
  wait(1000, 2)
  await clock.advance(1000)
  wait(1000, 1)
  await clock.advance(1000)
  assert.equal(announced.length, 1)

  outbox.queuedCount = 0
  countdown.update()
  wait(1000)

  assert.equal(announced.length, 2)
})

test("without a wait nothing is shown while a message is sent", () => {
  outbox.queuedCount = 1
  countdown.update()

  assert.equal(element.textContent, "")
  assert.deepEqual(announced, [])
})

test("while the connection is lost, nothing is counted down", () => {
  wait(5000)
  isConnected = false
  countdown.update()

  assert.equal(element.textContent, "")
})

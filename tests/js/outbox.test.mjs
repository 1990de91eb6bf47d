// What has been said is sent once, in order, however often the line or the server says no.

import assert from "node:assert/strict"
import { beforeEach, test } from "node:test"

import { Refused, Unreachable } from "../../static/js/answers.js"
import { Outbox } from "../../static/js/outbox.js"
import { FakeClock, settled } from "./helpers.mjs"

let clock
let outbox
let sent
let answer // what happens to a message that is sent
let seen

beforeEach(() => {
  clock = new FakeClock()
  sent = []
  seen = []
  answer = async () => {}
  outbox = new Outbox({ clock, send: (item) => (sent.push(item), answer(item)) })
  outbox.addEventListener("change", ({ detail }) => seen.push(detail))
})

const say = (message) => outbox.say({ handle: "Ada", message })
const words = () => sent.map(({ message }) => message)
const refusal = (more) => new Refused({ code: "busy", message: "Busy.", retry: true, ...more })

test("Ada's forty messages leave one at a time, in the order she said them", async () => {
  let flying = 0
  answer = async () => {
    assert.equal((flying += 1), 1)
    await settled()
    flying -= 1
  }
  const said = Array.from({ length: 40 }, (_, number) => `number ${number}`)
  outbox.wake()
  said.forEach(say)
  for (let turn = 0; turn < 80; turn += 1) await settled()

  assert.deepEqual(words(), said)
  assert.equal(outbox.waiting, 0)
})

test("what Ada says is there at once, before anybody has answered", () => {
  answer = () => new Promise(() => {})
  const { id } = say("hello")

  assert.deepEqual(seen.map((item) => [item.id, item.state]), [[id, "queued"]])
})

test("while the room is away nothing leaves, and then everything", async () => {
  say("one")
  say("two")
  await clock.pass(60_000)
  assert.deepEqual(words(), [])
  assert.equal(outbox.waiting, 2)

  outbox.wake()
  await settled()
  assert.deepEqual(words(), ["one", "two"])
})

test("without an answer the same message goes again under the same id, after longer and longer pauses", async () => {
  answer = async () => {
    throw new Unreachable("nothing heard")
  }
  outbox.wake()
  say("hello")
  await settled()
  const after = []
  for (const pause of [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]) {
    await clock.pass(pause - 1)
    after.push(sent.length)
    await clock.pass(1)
  }

  assert.deepEqual(after, [1, 2, 3, 4, 5, 6, 7])
  assert.equal(new Set(sent.map(({ id }) => id)).size, 1)
})

test("coming back does not wait for the rest of the pause", async () => {
  answer = async () => {
    throw new Unreachable("cut off")
  }
  outbox.wake()
  say("hello")
  await settled()
  outbox.sleep()
  answer = async () => {}
  outbox.wake()
  await settled()

  assert.deepEqual(words(), ["hello", "hello"])
  assert.equal(outbox.waiting, 0)
})

test("too fast for the server, Ada waits as long as it asks, and the next message does not push past", async () => {
  answer = async () => {
    throw refusal({ code: "rate_limited", retry_after_ms: 5000 })
  }
  outbox.wake()
  say("one")
  await settled()
  answer = async () => {}
  say("two")
  await clock.pass(4999)
  assert.deepEqual(words(), ["one"])

  await clock.pass(1)
  assert.deepEqual(words(), ["one", "one", "two"])
})

test("what is refused for good says why, and holds nobody up", async () => {
  answer = async ({ message }) => {
    if (message === "far too long") throw refusal({ code: "too_long", message: "Too long.", retry: false })
  }
  outbox.wake()
  say("far too long")
  say("short")
  await settled()

  assert.deepEqual(words(), ["far too long", "short"])
  assert.deepEqual([seen.at(-1).state, seen.at(-1).reason], ["failed", "Too long."])
  assert.equal(outbox.waiting, 0)
})

test("Ada tries a refused message again, under its old id", async () => {
  answer = async () => {
    throw refusal({ retry: false })
  }
  outbox.wake()
  const { id } = say("hello")
  await settled()
  answer = async () => {}
  outbox.retry(id)
  await settled()

  assert.deepEqual(sent.map((item) => item.id), [id, id])
  assert.equal(outbox.discard(id), undefined)
})

test("Ada gives a refused message up and has her words back", async () => {
  const gone = []
  answer = async () => {
    throw refusal({ retry: false })
  }
  outbox.addEventListener("gone", ({ detail }) => gone.push(detail))
  outbox.wake()
  const { id } = say("hello")
  await settled()

  assert.equal(outbox.discard(id).message, "hello")
  assert.deepEqual(gone, [id])
})

test("a message is kept before it leaves, and what an earlier page kept is sent first", async () => {
  const left = { id: "left-behind", handle: "Ada", message: "yesterday", timestamp: "", state: "queued" }
  const store = { kept: [left], load: () => [left], save: (items) => (store.kept = structuredClone(items)) }
  outbox = new Outbox({ clock, store, send: async ({ id, message }) => (sent.push({ message, kept: store.kept.some((item) => item.id === id) }), undefined) })
  await outbox.restore()
  say("today")
  outbox.wake()
  await settled()

  assert.deepEqual(sent, [{ message: "yesterday", kept: true }, { message: "today", kept: true }])
  assert.deepEqual(store.kept, [])
})

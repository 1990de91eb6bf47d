// A room and a line that breaks: what Ben misses he gets, once and in order.

import assert from "node:assert/strict"
import { beforeEach, test } from "node:test"

import { Outbox } from "../../static/js/outbox.js"
import { Room } from "../../static/js/room.js"
import { Timeline } from "../../static/js/timeline.js"
import { FakeClock, FakeRoom, FakeSocket, page, settled } from "./helpers.mjs"

let clock
let kitchen // the server's idea of the room
let room // Ben's
let socket
let timeline

beforeEach(() => {
  clock = new FakeClock()
  kitchen = new FakeRoom()
  socket = new FakeSocket(kitchen)
  timeline = new Timeline()
  room = new Room({ label: "kitchen", mark: "me", socket, timeline, clock, outbox: (send) => new Outbox({ send, clock }) })
  kitchen.store({ message: "first" })
  timeline.load(page([...kitchen.rows.values()]))
})

const shown = () => timeline.rows.map(({ message }) => message)
const asked = () => socket.asked.map(({ event }) => event)

async function enter() {
  socket.connect()
  await settled()
}

test("the page knows its messages, so Ben joins with what he has", async () => {
  await enter()

  assert.deepEqual(socket.asked, [{ event: "join", label: "kitchen", after: 1 }])
  assert.equal(room.state, "here")
})

test("Ada speaks, Ben hears", async () => {
  await enter()
  socket.tell("chat", kitchen.store({ message: "morning" }))

  assert.deepEqual(shown(), ["first", "morning"])
})

test("what is told while Ben is still joining waits for the answer", async () => {
  let answerWith
  socket.answers = () =>
    new Promise((resolve) => {
      answerWith = resolve
    })
  socket.connect()
  socket.tell("chat", kitchen.store({ message: "told meanwhile" }))
  await settled()
  assert.deepEqual(shown(), ["first"])

  answerWith(kitchen.join(1))
  await settled()
  assert.deepEqual(shown(), ["first", "told meanwhile"])
})

test("Ben comes back after five hundred messages and misses none", async () => {
  await enter()
  socket.disconnect()
  assert.equal(room.state, "away")
  for (let count = 0; count < 500; count += 1) kitchen.store({ message: `meanwhile ${count}` })
  await enter()

  assert.equal(timeline.rows.length, 501)
  assert.deepEqual(asked(), ["join", "join", "since", "since"])
  assert.equal(room.state, "here")
})

test("a message that is only late costs no question", async () => {
  await enter()
  const late = kitchen.store({ message: "two" })
  socket.tell("chat", kitchen.store({ message: "three" }))
  await clock.pass(150)
  socket.tell("chat", late)
  await clock.pass(1000)

  assert.deepEqual(shown(), ["first", "two", "three"])
  assert.deepEqual(asked(), ["join"])
})

test("a message that is lost is asked for after a moment", async () => {
  await enter()
  kitchen.store({ message: "two" })
  socket.tell("chat", kitchen.store({ message: "three" }))
  await clock.pass(200)

  assert.deepEqual(shown(), ["first", "two", "three"])
  assert.deepEqual(asked(), ["join", "since"])
})

test("hearing of a head is enough to notice that the last message was lost", async () => {
  await enter()
  kitchen.store({ message: "two" })
  socket.tell("head", { label: "kitchen", head: 2, epoch: "one" })
  await clock.pass(200)

  assert.deepEqual(shown(), ["first", "two"])
})

test("when asking fails it is asked again, as long as it takes", async () => {
  await enter()
  socket.answers = () => ({ ok: false, code: "busy", message: "", retry: true })
  kitchen.store({ message: "two" })
  socket.tell("head", { label: "kitchen", head: 2, epoch: "one" })
  await clock.pass(5000)
  assert.deepEqual(shown(), ["first"])

  socket.answers = (event, data) => kitchen.answer(event, data)
  await clock.pass(2000)
  assert.deepEqual(shown(), ["first", "two"])
})

test("a head that fell behind, though nothing was lost, changes nothing", async () => {
  await enter()
  socket.tell("chat", kitchen.store({ message: "two" }))
  socket.tell("head", { label: "kitchen", head: 1, epoch: "one" })
  await clock.pass(1000)

  assert.deepEqual(shown(), ["first", "two"])
  assert.deepEqual(asked(), ["join", "since"])
})

test("the room was restored from a backup: Ben starts over, wherever he hears of it", async () => {
  await enter()
  kitchen.epoch = "two"
  kitchen.rows.clear()
  kitchen.head = 0
  kitchen.store({ message: "restored" })
  socket.tell("head", { label: "kitchen", head: 1, epoch: "two" })
  await clock.pass(1000)
  assert.deepEqual(shown(), ["restored"])

  kitchen.epoch = "three"
  kitchen.rows.clear()
  socket.disconnect()
  await enter()
  assert.deepEqual(shown(), [])
  assert.equal(timeline.epoch, "three")
})

test("another room's words do not come in", async () => {
  await enter()
  socket.tell("chat", { ...kitchen.store({ message: "elsewhere" }), label: "cellar" })

  assert.deepEqual(shown(), ["first"])
})

test("Ben speaks offline: it stands there, and is stored when he is back", async () => {
  room.outbox.say({ handle: "Ben", message: "hello" })
  assert.deepEqual(timeline.items.map(({ message }) => message), ["hello"])

  await enter()
  assert.deepEqual(shown(), ["first", "hello"])
  assert.deepEqual(timeline.items, [])
})

test("the answer was lost with the line: Ben's message goes again and stands once", async () => {
  await enter()
  socket.answers = async (event, data) => {
    kitchen.answer(event, data)
    socket.disconnect()
    throw new Error("cut off")
  }
  room.outbox.say({ handle: "Ben", message: "hello" })
  await settled()
  socket.answers = (event, data) => kitchen.answer(event, data)
  await enter()

  assert.deepEqual(shown(), ["first", "hello"])
  assert.equal(kitchen.rows.size, 2)
  assert.deepEqual(timeline.items, [])
})

test("forty messages of Ben's stand in the order he said them, between Ada's", async () => {
  await enter()
  for (let count = 0; count < 40; count += 1) {
    room.outbox.say({ handle: "Ben", message: `ben ${count}` })
    if (count % 3 === 0) socket.tell("chat", kitchen.store({ message: "ada" }))
  }
  for (let turn = 0; turn < 80; turn += 1) await settled()
  await clock.pass(1000)

  assert.deepEqual(shown().filter((words) => words.startsWith("ben")), Array.from({ length: 40 }, (_, count) => `ben ${count}`))
  assert.deepEqual(timeline.rows, [...kitchen.rows.values()])
})

test("a server that has forgotten where Ben is lets him in again, and takes his message", async () => {
  await enter()
  let forgotten = true
  socket.answers = (event, data) => {
    if (event === "join") forgotten = false
    return forgotten ? { ok: false, code: "not_joined", message: "", retry: false } : kitchen.answer(event, data)
  }
  room.outbox.say({ handle: "Ben", message: "hello" })
  await clock.pass(1000)

  assert.deepEqual(shown(), ["first", "hello"])
})

test("the room is gone: Ben is told, and not asked to wait", async () => {
  socket.answers = () => ({ ok: false, code: "not_found", message: "There is no such room.", retry: false })
  await enter()

  assert.equal(room.state, "gone")
  assert.equal(room.reason, "There is no such room.")
})

test("a server too busy to let Ben in is asked again when it says", async () => {
  socket.answers = () => ({ ok: false, code: "busy", message: "", retry: true, retry_after_ms: 5000 })
  await enter()
  socket.answers = (event, data) => kitchen.answer(event, data)
  await clock.pass(4999)
  assert.equal(room.state, "away")

  await clock.pass(1)
  assert.equal(room.state, "here")
})

test("Ben reads back, and the page before is there", async () => {
  for (let count = 0; count < 80; count += 1) kitchen.store({ message: `old ${count}` })
  timeline.load(kitchen.join(undefined))
  await enter()
  assert.equal(await room.earlier(), true)

  assert.equal(timeline.rows.length, 81)
  assert.equal(timeline.older, false)
})

test("without cookies Ben is told who he is, and to remember it", async () => {
  const told = []
  room.addEventListener("you", ({ detail }) => told.push(detail))
  socket.answers = (event, data) => ({ ...kitchen.answer(event, data), you: { mark: "ben", token: "signed" } })
  await enter()

  assert.deepEqual(told, [{ mark: "ben", token: "signed" }])
  assert.equal(room.mark, "ben")
})

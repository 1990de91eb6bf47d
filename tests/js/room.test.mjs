// A room and a line that breaks: what Ben misses he gets, once and in order.

import assert from "node:assert/strict"
import { beforeEach, test } from "node:test"

import { Unreachable } from "../../static/js/lib/errors.js"
import { RoomSession } from "../../static/js/net/room_session.js"
import { Outbox } from "../../static/js/state/outbox.js"
import { OutboxStore } from "../../static/js/state/outbox_store.js"
import { Timeline } from "../../static/js/state/timeline.js"
import { FakeClock, FakeRoom, FakeStorage, FakeSocket, page, flushPromises } from "./helpers.mjs"

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
  const { area, page: tab } = new FakeStorage().tab()
  const store = new OutboxStore("kitchen", { getStorage: () => area, storageEvents: tab })
  room = new RoomSession({
    label: "kitchen",
    mark: "me",
    socket,
    timeline,
    clock,
    createOutbox: (send) => new Outbox({ send, clock, store, elect: async () => () => {} }),
  })
  kitchen.store({ message: "first" })
  timeline.load(page([...kitchen.rows.values()]))
})

const shown = () => timeline.rows.map(({ message }) => message)
const asked = () => socket.requests.map(({ event }) => event)

async function enter() {
  socket.connect()
  await flushPromises()
}

test("the page knows its messages, so Ben joins with what he has", async () => {
  await enter()

  assert.deepEqual(socket.requests, [{ event: "join", label: "kitchen", after: 1 }])
  assert.equal(room.state, "joined")
})

test("Ada speaks, Ben hears", async () => {
  await enter()
  socket.receive("chat", kitchen.store({ message: "morning" }))

  assert.deepEqual(shown(), ["first", "morning"])
})

test("what is told while Ben is still joining waits for the answer", async () => {
  let answerWith
  socket.answers = () =>
    new Promise((resolve) => {
      answerWith = resolve
    })
  socket.connect()
  socket.receive("chat", kitchen.store({ message: "told meanwhile" }))
  await flushPromises()
  assert.deepEqual(shown(), ["first"])

  answerWith(kitchen.join(1))
  await flushPromises()
  assert.deepEqual(shown(), ["first", "told meanwhile"])
})

test("Ben comes back after a few messages and has them all at once", async () => {
  await enter()
  socket.disconnect()
  assert.equal(room.state, "connecting")
  for (let count = 0; count < 200; count += 1) kitchen.store({ message: `meanwhile ${count}` })
  await enter()

  assert.equal(timeline.rows.length, 201)
  assert.equal(timeline.absence, null)
  assert.deepEqual(asked(), ["join", "join"])
})

test("Ben comes back after five hundred messages: he sees the newest, how many there were, and reads back to where he was", async () => {
  await enter()
  socket.disconnect()
  for (let count = 0; count < 500; count += 1) kitchen.store({ message: `meanwhile ${count}` })
  await enter()

  assert.equal(timeline.rows.length, 50)
  assert.deepEqual(timeline.absence, { after: 1, missed: 500 })
  assert.equal(room.state, "joined")

  const read = new Map(timeline.rows.map((each) => [each.seq, each]))
  while (timeline.hasOlder) {
    await room.loadEarlier()
    for (const each of timeline.rows) read.set(each.seq, each)
    assert.ok(timeline.rows.length <= 320)
  }
  assert.deepEqual(
    [...read.values()].sort((a, b) => a.seq - b.seq),
    [...kitchen.rows.values()],
  )
})

test("a line that was deaf for five hundred messages is no shorter way", async () => {
  await enter()
  for (let count = 0; count < 500; count += 1) kitchen.store({ message: `meanwhile ${count}` })
  socket.receive("head", { label: "kitchen", head: 501, epoch: "one" })
  await clock.advance(200)

  assert.deepEqual(asked(), ["join", "since", "join", "join"])
  assert.deepEqual(timeline.absence, { after: 1, missed: 500 })
})

test("many edits are no absence to speak of", async () => {
  await enter()
  socket.disconnect()
  for (let count = 0; count < 60; count += 1) {
    kitchen.change(1, { message: `edit ${count}`, edited: "now" })
  }
  socket.answers = (event, data) => ({
    ...kitchen.answer(event, data),
    ...(data.after === 1 && { messages: [], upto: 30 }),
  }) // a small server
  await enter()

  assert.equal(timeline.absence, null)
  assert.deepEqual(shown(), ["edit 59"])
})

test("a message that is only late costs no question", async () => {
  await enter()
  const late = kitchen.store({ message: "two" })
  socket.receive("chat", kitchen.store({ message: "three" }))
  await clock.advance(150)
  socket.receive("chat", late)
  await clock.advance(1000)

  assert.deepEqual(shown(), ["first", "two", "three"])
  assert.deepEqual(asked(), ["join"])
})

test("a message that is lost is asked for after a moment", async () => {
  await enter()
  kitchen.store({ message: "two" })
  socket.receive("chat", kitchen.store({ message: "three" }))
  await clock.advance(200)

  assert.deepEqual(shown(), ["first", "two", "three"])
  assert.deepEqual(asked(), ["join", "since"])
})

test("hearing of a head is enough to notice that the last message was lost", async () => {
  await enter()
  kitchen.store({ message: "two" })
  socket.receive("head", { label: "kitchen", head: 2, epoch: "one" })
  await clock.advance(200)

  assert.deepEqual(shown(), ["first", "two"])
})

test("when asking fails it is asked again, as long as it takes", async () => {
  await enter()
  socket.answers = () => ({ ok: false, code: "busy", message: "", retry: true })
  kitchen.store({ message: "two" })
  socket.receive("head", { label: "kitchen", head: 2, epoch: "one" })
  await clock.advance(5000)
  assert.deepEqual(shown(), ["first"])

  socket.answers = (event, data) => kitchen.answer(event, data)
  await clock.advance(2000)
  assert.deepEqual(shown(), ["first", "two"])
})

test("a head that was overtaken on its way costs no question", async () => {
  await enter()
  socket.receive("chat", kitchen.store({ message: "two" }))
  socket.receive("head", { label: "kitchen", head: 1, epoch: "one" })
  await clock.advance(1000)

  assert.deepEqual(shown(), ["first", "two"])
  assert.deepEqual(asked(), ["join"])
})

test("a head that fell behind the last one, though nothing was lost, changes nothing", async () => {
  await enter()
  socket.receive("chat", kitchen.store({ message: "two" }))
  socket.receive("head", { label: "kitchen", head: 2, epoch: "one" })
  socket.receive("head", { label: "kitchen", head: 1, epoch: "one" })
  await clock.advance(1000)

  assert.deepEqual(shown(), ["first", "two"])
  assert.deepEqual(asked(), ["join", "since"])
})

test("a power cut took the last message from the server: it is not shown any more, and the next one is", async () => {
  await enter()
  socket.receive("chat", kitchen.store({ message: "two" }))
  socket.receive("head", { label: "kitchen", head: 2, epoch: "one" })
  kitchen.rows.delete(2)
  kitchen.head = 1
  socket.receive("head", { label: "kitchen", head: 1, epoch: "one" })
  await clock.advance(1000)
  assert.deepEqual(shown(), ["first"])

  socket.receive("chat", kitchen.store({ message: "another two" }))
  assert.deepEqual(shown(), ["first", "another two"])
})

test("what nobody tells Ben he asks for within a minute", async () => {
  await enter()
  kitchen.store({ message: "two" })
  await clock.advance(60_000)

  assert.deepEqual(shown(), ["first", "two"])
})

test("after a sleep Ben asks whether anybody is there, and that brings what he missed", async () => {
  await enter()
  kitchen.store({ message: "two" })
  await room.checkConnection()

  assert.deepEqual(shown(), ["first", "two"])
  assert.deepEqual(asked(), ["join", "since"])
})

test("when nobody answers after a sleep, the line is made anew", async () => {
  await enter()
  kitchen.store({ message: "two" })
  socket.answers = (event, data) => {
    socket.answers = (...question) => kitchen.answer(...question)
    assert.deepEqual([event, data], ["since", { after: 1 }])
    throw new Unreachable("operation has timed out")
  }
  await room.checkConnection()
  await flushPromises()

  assert.deepEqual(shown(), ["first", "two"])
  assert.deepEqual(asked(), ["join", "since", "join"])
})

test("a no is an answer too: the line is alive", async () => {
  await enter()
  socket.answers = () => ({ ok: false, code: "busy", message: "", retry: true })
  await room.checkConnection()

  assert.deepEqual(asked(), ["join", "since"])
})

test("without a line there is nothing to ask: it is tried at once", async () => {
  await room.checkConnection()

  assert.equal(socket.retries, 1)
  assert.deepEqual(asked(), [])
})

test("Ben reads back in a room that was restored meanwhile, and starts over", async () => {
  for (let count = 0; count < 80; count += 1) kitchen.store({ message: `old ${count}` })
  timeline.load(kitchen.join(undefined))
  await enter()
  kitchen.epoch = "two"
  kitchen.rows = new Map([...kitchen.rows].slice(0, 10))
  kitchen.head = 10
  await room.loadEarlier()
  await clock.advance(1000)

  assert.deepEqual(timeline.rows, [...kitchen.rows.values()])
})

test("Ben's message is stored though the answer never comes: its event is answer enough", async () => {
  await enter()
  socket.answers = (event, data) => {
    socket.receive("chat", { ...kitchen.rows.get(kitchen.answer(event, data).seq) })
    return new Promise(() => {})
  }
  room.outbox.enqueue({ handle: "Ben", message: "hello" })
  await flushPromises()

  assert.deepEqual(shown(), ["first", "hello"])
  assert.equal(room.outbox.queuedCount, 0)
})

test("the room was restored from a backup: Ben starts over, wherever he hears of it", async () => {
  await enter()
  kitchen.epoch = "two"
  kitchen.rows.clear()
  kitchen.head = 0
  kitchen.store({ message: "restored" })
  socket.receive("head", { label: "kitchen", head: 1, epoch: "two" })
  await clock.advance(1000)
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
  socket.receive("chat", { ...kitchen.store({ message: "elsewhere" }), label: "cellar" })

  assert.deepEqual(shown(), ["first"])
})

test("Ben speaks offline: it stands there, and is stored when he is back", async () => {
  room.outbox.enqueue({ handle: "Ben", message: "hello" })
  assert.deepEqual(
    timeline.pendingMessages.map(({ message }) => message),
    ["hello"],
  )

  await enter()
  assert.deepEqual(shown(), ["first", "hello"])
  assert.deepEqual(timeline.pendingMessages, [])
})

test("the answer was lost with the line: Ben's message goes again and stands once", async () => {
  await enter()
  socket.answers = async (event, data) => {
    kitchen.answer(event, data)
    socket.disconnect()
    throw new Error("cut off")
  }
  room.outbox.enqueue({ handle: "Ben", message: "hello" })
  await flushPromises()
  socket.answers = (event, data) => kitchen.answer(event, data)
  await enter()

  assert.deepEqual(shown(), ["first", "hello"])
  assert.equal(kitchen.rows.size, 2)
  assert.deepEqual(timeline.pendingMessages, [])
})

test("forty messages of Ben's stand in the order he said them, between Ada's", async () => {
  await enter()
  for (let count = 0; count < 40; count += 1) {
    room.outbox.enqueue({ handle: "Ben", message: `ben ${count}` })
    if (count % 3 === 0) socket.receive("chat", kitchen.store({ message: "ada" }))
  }
  for (let turn = 0; turn < 80; turn += 1) await flushPromises()
  await clock.advance(1000)

  assert.deepEqual(
    shown().filter((words) => words.startsWith("ben")),
    Array.from({ length: 40 }, (_, count) => `ben ${count}`),
  )
  assert.deepEqual(timeline.rows, [...kitchen.rows.values()])
})

test("a server that has forgotten where Ben is lets him in again, and takes his message", async () => {
  await enter()
  let forgotten = true
  socket.answers = (event, data) => {
    if (event === "join") forgotten = false
    return forgotten
      ? { ok: false, code: "not_joined", message: "", retry: false }
      : kitchen.answer(event, data)
  }
  room.outbox.enqueue({ handle: "Ben", message: "hello" })
  await clock.advance(1000)

  assert.deepEqual(shown(), ["first", "hello"])
})

test("the room is gone: Ben is told, and not asked to wait", async () => {
  socket.answers = () => ({
    ok: false,
    code: "not_found",
    message: "There is no such room.",
    retry: false,
  })
  await enter()

  assert.equal(room.state, "closed")
  assert.equal(room.closedReason, "There is no such room.")
})

test("a server too busy to let Ben in is asked again when it says", async () => {
  socket.answers = () => ({
    ok: false,
    code: "busy",
    message: "",
    retry: true,
    retry_after_ms: 5000,
  })
  await enter()
  socket.answers = (event, data) => kitchen.answer(event, data)
  await clock.advance(4999)
  assert.equal(room.state, "connecting")

  await clock.advance(1)
  assert.equal(room.state, "joined")
})

test("Ben reads back, and the page before is there", async () => {
  for (let count = 0; count < 80; count += 1) kitchen.store({ message: `old ${count}` })
  timeline.load(kitchen.join(undefined))
  await enter()
  assert.equal(await room.loadEarlier(), true)

  assert.equal(timeline.rows.length, 81)
  assert.equal(timeline.hasOlder, false)
})

test("without cookies Ben is told who he is, and to remember it", async () => {
  const told = []
  room.addEventListener("identity", ({ detail }) => told.push(detail))
  socket.answers = (event, data) => ({
    ...kitchen.answer(event, data),
    you: { mark: "ben", token: "signed" },
  })
  await enter()

  assert.deepEqual(told, [{ mark: "ben", token: "signed" }])
  assert.equal(room.mark, "ben")
})

test("Ben's edits, deletions and reactions go the way of his messages, in order, and survive a line that breaks", async () => {
  const asks = [
    { event: "edit", seq: 1, message: "better" },
    { event: "react", seq: 1, emoji: "👍", on: true, mark: "me" },
    { event: "delete", seq: 1 },
  ]
  asks.forEach((ask) => room.outbox.enqueue(ask))
  socket.answers = (event, data) => {
    if (event === "join") return kitchen.join(data.after)
    if (event === "since") return kitchen.since(data.after)
    return { ok: true, rev: 1, head: 1 }
  }
  await enter()
  await flushPromises()

  const { mark, ...react } = asks[1]
  assert.equal(mark, "me")
  assert.deepEqual(socket.requests.slice(1, 4), [asks[0], react, asks[2]])
  assert.equal(room.outbox.queuedCount, 0)
})

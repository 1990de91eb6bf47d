// A room session: joins, catches up after every kind of interruption, and sends the outbox.

import assert from "node:assert/strict"
import { beforeEach, test } from "node:test"

import { Unreachable } from "../../static/js/lib/errors.js"
import { RoomSession } from "../../static/js/net/room_session.js"
import { Outbox } from "../../static/js/state/outbox.js"
import { OutboxStore } from "../../static/js/state/outbox_store.js"
import { Timeline } from "../../static/js/state/timeline.js"
import { FakeClock, FakeRoom, FakeSocket, FakeStorage, flushPromises, page } from "./fakes.mjs"

const BUSY = { ok: false, code: "busy", message: "", retry: true }
const NOT_JOINED = { ok: false, code: "not_joined", message: "", retry: false }

let clock
/** The room on the server. */
let kitchen
let session
let socket
let timeline

beforeEach(() => {
  clock = new FakeClock()
  kitchen = new FakeRoom()
  socket = new FakeSocket(kitchen)
  timeline = new Timeline()
  const store = new OutboxStore("kitchen", new FakeStorage().openTab())
  const elect = async () => () => {}
  session = new RoomSession({
    label: "kitchen",
    mark: "me",
    socket,
    timeline,
    clock,
    createOutbox: (send) => new Outbox({ send, clock, store, elect }),
  })
  kitchen.store({ message: "first" })
  timeline.load(page([...kitchen.rows.values()]))
})

const shownTexts = () => timeline.rows.map(({ message }) => message)
const requestedEvents = () => socket.requests.map(({ event }) => event)
const post = (message) => session.outbox.enqueue({ handle: "Ben", message })

async function connect() {
  socket.connect()
  await flushPromises()
}

function storeMany(count) {
  for (let number = 0; number < count; number += 1) kitchen.store({ message: `new ${number}` })
}

function answerNormally() {
  socket.answer = (event, payload) => kitchen.answer(event, payload)
}

// Joining

test("the session joins with the last change that the page contains", async () => {
  await connect()

  assert.deepEqual(socket.requests, [{ event: "join", label: "kitchen", after: 1 }])
  assert.equal(session.state, "joined")
})

test("a live message is shown", async () => {
  await connect()
  socket.receive("chat", kitchen.store({ message: "morning" }))

  assert.deepEqual(shownTexts(), ["first", "morning"])
})

test("a live message that comes before the answer to join is applied after it", async () => {
  let resolveJoin
  socket.answer = () =>
    new Promise((resolve) => {
      resolveJoin = resolve
    })
  socket.connect()
  socket.receive("chat", kitchen.store({ message: "meanwhile" }))
  await flushPromises()
  assert.deepEqual(shownTexts(), ["first"])

  resolveJoin(kitchen.join(1))
  await flushPromises()
  assert.deepEqual(shownTexts(), ["first", "meanwhile"])
})

test("a message of another room is ignored", async () => {
  await connect()
  socket.receive("chat", { ...kitchen.store({ message: "elsewhere" }), label: "cellar" })

  assert.deepEqual(shownTexts(), ["first"])
})

test("a room that does not exist is closed, with the reason", async () => {
  const message = "There is no such room."
  socket.answer = () => ({ ok: false, code: "not_found", message, retry: false })
  await connect()

  assert.equal(session.state, "closed")
  assert.equal(session.refusalReason, message)
})

test("a person who was removed is not connected again, until they rejoin", async () => {
  const refusal = { ok: false, code: "removed", message: "Later.", retry: false }
  socket.answer = () => ({ ...refusal, retry_after_ms: 60_000 })
  await connect()

  assert.equal(session.state, "closed")
  assert.equal(session.refusalCode, "removed")
  assert.equal(session.rejoinAt, clock.now() + 60_000)
  assert.equal(socket.isConnected, false)
  answerNormally()

  session.rejoin()
  await flushPromises()

  assert.equal(session.state, "joined")
  assert.equal(session.refusalCode, "")
})

test("an action of a host is requested, and what it changed is caught up", async () => {
  await connect()
  socket.answer = (event, payload) => {
    if (event !== "moderate") return kitchen.answer(event, payload)
    const { rev } = kitchen.store({ message: "Hana locked the room", kind: "moderation" })
    return { ok: true, rev, head: rev }
  }

  const answer = await session.moderate({ action: "lock" })
  await clock.advance(200)

  assert.equal(answer.rev, 2)
  assert.deepEqual(shownTexts(), ["first", "Hana locked the room"])
})

function refuse(reason) {
  socket.dispatchEvent(new Event("disconnected"))
  socket.dispatchEvent(new CustomEvent("refused", { detail: reason }))
}

/** The states that the session dispatches from now on, with their reasons. */
function recordStates() {
  const states = []
  session.addEventListener("state", () => states.push([session.state, session.refusalReason]))
  return states
}

test("a refused connection has a reason, until one works", async () => {
  const states = recordStates()
  refuse("Not from here.")
  refuse("Not from here.")
  await connect()

  assert.deepEqual(states, [
    ["refused", "Not from here."],
    ["joined", ""],
  ])
})

test("another reason replaces the first one", () => {
  const states = recordStates()
  refuse("Too many connections.")
  refuse("Not from here.")

  assert.deepEqual(states, [
    ["refused", "Too many connections."],
    ["refused", "Not from here."],
  ])
})

test("a reason ends when an attempt to connect fails without a refusal", async () => {
  const states = recordStates()
  refuse("Too many connections.")
  refuse("")
  refuse("")
  assert.deepEqual(states, [
    ["refused", "Too many connections."],
    ["connecting", ""],
  ])

  await connect()
  refuse("")
  assert.deepEqual(states.slice(2), [
    ["joined", ""],
    ["connecting", ""],
  ])
})

test("a closed room stays closed when the connection is lost", async () => {
  socket.answer = () => ({ ok: false, code: "not_found", message: "No such room.", retry: false })
  await connect()
  refuse("")

  assert.equal(session.state, "closed")
  assert.equal(session.refusalReason, "No such room.")
})

test("the room is joined at last, after a refused connection and a busy server", async () => {
  let isJoined = false
  session.untilJoined().then(() => {
    isJoined = true
  })
  socket.dispatchEvent(new CustomEvent("refused", { detail: "Too many connections." }))
  socket.answer = () => ({ ...BUSY, retry_after_ms: 5000 })
  await connect()
  socket.disconnect()
  await flushPromises()
  assert.equal(isJoined, false)

  answerNormally()
  await connect()
  assert.equal(isJoined, true)
  await session.untilJoined()
})

test("a busy server is asked again after the delay that it names", async () => {
  socket.answer = () => ({ ...BUSY, retry_after_ms: 5000 })
  await connect()
  answerNormally()
  await clock.advance(4999)
  assert.equal(session.state, "connecting")

  await clock.advance(1)
  assert.equal(session.state, "joined")
})

test("a person without cookies learns who they are", async () => {
  const identities = []
  session.addEventListener("identity", ({ detail }) => identities.push(detail))
  const you = { mark: "ben", token: "signed" }
  socket.answer = (event, payload) => ({ ...kitchen.answer(event, payload), you })
  await connect()

  assert.deepEqual(identities, [you])
  assert.equal(session.mark, "ben")
})

// Reconnecting

test("after a short absence all missed messages come with the answer to join", async () => {
  await connect()
  socket.disconnect()
  assert.equal(session.state, "connecting")
  storeMany(200)
  await connect()

  assert.equal(timeline.rows.length, 201)
  assert.equal(timeline.absence, null)
  assert.deepEqual(requestedEvents(), ["join", "join"])
})

test("after a long absence the newest messages are shown, and the others can be loaded", async () => {
  await connect()
  socket.disconnect()
  storeMany(500)
  await connect()

  assert.equal(timeline.rows.length, 50)
  assert.deepEqual(timeline.absence, { after: 1, missed: 500 })
  assert.equal(session.state, "joined")

  const loaded = new Map(timeline.rows.map((row) => [row.seq, row]))
  while (timeline.hasOlder) {
    await session.loadEarlier()
    for (const row of timeline.rows) loaded.set(row.seq, row)
    assert.ok(timeline.rows.length <= 320)
  }
  const inOrder = [...loaded.values()].sort((a, b) => a.seq - b.seq)
  assert.deepEqual(inOrder, [...kitchen.rows.values()])
})

test("500 lost live messages have the same effect as a long absence", async () => {
  await connect()
  storeMany(500)
  socket.receive("head", { label: "kitchen", head: 501, epoch: "one" })
  await clock.advance(200)

  assert.deepEqual(requestedEvents(), ["join", "since", "join", "join"])
  assert.deepEqual(timeline.absence, { after: 1, missed: 500 })
})

test("many missed edits are no absence", async () => {
  await connect()
  socket.disconnect()
  for (let number = 0; number < 60; number += 1) {
    kitchen.change(1, { message: `edit ${number}`, edited: "now" })
  }
  socket.answer = (event, payload) => {
    const answer = kitchen.answer(event, payload)
    const isFirst = payload.after === 1
    return isFirst ? { ...answer, messages: [], upto: 30 } : answer
  }
  await connect()

  assert.equal(timeline.absence, null)
  assert.deepEqual(shownTexts(), ["edit 59"])
})

// Gaps

test("a message that is merely late causes no request", async () => {
  await connect()
  const late = kitchen.store({ message: "two" })
  socket.receive("chat", kitchen.store({ message: "three" }))
  await clock.advance(150)
  socket.receive("chat", late)
  await clock.advance(1000)

  assert.deepEqual(shownTexts(), ["first", "two", "three"])
  assert.deepEqual(requestedEvents(), ["join"])
})

test("a lost message is fetched after a short wait", async () => {
  await connect()
  kitchen.store({ message: "two" })
  socket.receive("chat", kitchen.store({ message: "three" }))
  await clock.advance(200)

  assert.deepEqual(shownTexts(), ["first", "two", "three"])
  assert.deepEqual(requestedEvents(), ["join", "since"])
})

test("a head shows that the last message was lost", async () => {
  await connect()
  kitchen.store({ message: "two" })
  socket.receive("head", { label: "kitchen", head: 2, epoch: "one" })
  await clock.advance(200)

  assert.deepEqual(shownTexts(), ["first", "two"])
})

test("a failed catch-up is repeated until it works", async () => {
  await connect()
  socket.answer = () => BUSY
  kitchen.store({ message: "two" })
  socket.receive("head", { label: "kitchen", head: 2, epoch: "one" })
  await clock.advance(5000)
  assert.deepEqual(shownTexts(), ["first"])

  answerNormally()
  await clock.advance(2000)
  assert.deepEqual(shownTexts(), ["first", "two"])
})

test("a late head causes no request", async () => {
  await connect()
  socket.receive("chat", kitchen.store({ message: "two" }))
  socket.receive("head", { label: "kitchen", head: 1, epoch: "one" })
  await clock.advance(1000)

  assert.deepEqual(shownTexts(), ["first", "two"])
  assert.deepEqual(requestedEvents(), ["join"])
})

test("a head below the one before causes one request, and nothing changes", async () => {
  await connect()
  socket.receive("chat", kitchen.store({ message: "two" }))
  socket.receive("head", { label: "kitchen", head: 2, epoch: "one" })
  socket.receive("head", { label: "kitchen", head: 1, epoch: "one" })
  await clock.advance(1000)

  assert.deepEqual(shownTexts(), ["first", "two"])
  assert.deepEqual(requestedEvents(), ["join", "since"])
})

test("a message that the server has lost in a power cut disappears", async () => {
  await connect()
  socket.receive("chat", kitchen.store({ message: "two" }))
  socket.receive("head", { label: "kitchen", head: 2, epoch: "one" })
  kitchen.rows.delete(2)
  kitchen.head = 1
  socket.receive("head", { label: "kitchen", head: 1, epoch: "one" })
  await clock.advance(1000)
  assert.deepEqual(shownTexts(), ["first"])

  socket.receive("chat", kitchen.store({ message: "another two" }))
  assert.deepEqual(shownTexts(), ["first", "another two"])
})

test("a lost message without any sign of it is found within a minute", async () => {
  await connect()
  kitchen.store({ message: "two" })
  await clock.advance(60_000)

  assert.deepEqual(shownTexts(), ["first", "two"])
})

// Checking the connection

test("checking the connection also fetches what was missed", async () => {
  await connect()
  kitchen.store({ message: "two" })
  await session.checkConnection()

  assert.deepEqual(shownTexts(), ["first", "two"])
  assert.deepEqual(requestedEvents(), ["join", "since"])
})

test("a connection without an answer is replaced", async () => {
  await connect()
  kitchen.store({ message: "two" })
  socket.answer = (event, payload) => {
    answerNormally()
    assert.equal(event, "since")
    assert.deepEqual(payload, { after: 1 })
    throw new Unreachable("operation has timed out")
  }
  await session.checkConnection()
  await flushPromises()

  assert.deepEqual(shownTexts(), ["first", "two"])
  assert.deepEqual(requestedEvents(), ["join", "since", "join"])
})

test("a refusal shows that the connection works", async () => {
  await connect()
  socket.answer = () => BUSY
  await session.checkConnection()

  assert.deepEqual(requestedEvents(), ["join", "since"])
})

test("checking the connection joins again when the server has it in no room", async () => {
  await connect()
  kitchen.store({ message: "two" })
  socket.answer = () => {
    answerNormally()
    return NOT_JOINED
  }
  await session.checkConnection()
  await flushPromises()

  assert.deepEqual(shownTexts(), ["first", "two"])
  assert.deepEqual(requestedEvents(), ["join", "since", "join"])
})

test("without a connection, checking it tries to connect at once", async () => {
  await session.checkConnection()

  assert.equal(socket.retryCount, 1)
  assert.deepEqual(requestedEvents(), [])
})

// History

test("the page before the loaded messages is loaded", async () => {
  storeMany(80)
  timeline.load(kitchen.join(undefined))
  await connect()
  assert.equal(await session.loadEarlier(), true)

  assert.equal(timeline.rows.length, 81)
  assert.equal(timeline.hasOlder, false)
})

test("older messages above a rate limit are loaded after the wait", async () => {
  await connect()
  const limited = { ...BUSY, code: "rate_limited", retry_after_ms: 300 }
  socket.answer = () => limited
  let hasLoaded
  session.loadEarlier().then((result) => (hasLoaded = result))
  await clock.advance(299)
  assert.equal(hasLoaded, undefined)
  answerNormally()
  await clock.advance(1)

  assert.equal(hasLoaded, true)
  assert.deepEqual(requestedEvents().slice(-2), ["history", "history"])
})

test("a page of a restored history makes the timeline start over", async () => {
  storeMany(80)
  timeline.load(kitchen.join(undefined))
  await connect()
  kitchen.epoch = "two"
  kitchen.rows = new Map([...kitchen.rows].slice(0, 10))
  kitchen.head = 10
  await session.loadEarlier()
  await clock.advance(1000)

  assert.deepEqual(timeline.rows, [...kitchen.rows.values()])
})

test("a restored room starts over, whichever answer shows it first", async () => {
  await connect()
  kitchen.epoch = "two"
  kitchen.rows.clear()
  kitchen.head = 0
  kitchen.store({ message: "restored" })
  socket.receive("head", { label: "kitchen", head: 1, epoch: "two" })
  await clock.advance(1000)
  assert.deepEqual(shownTexts(), ["restored"])

  kitchen.epoch = "three"
  kitchen.rows.clear()
  socket.disconnect()
  await connect()
  assert.deepEqual(shownTexts(), [])
  assert.equal(timeline.epoch, "three")
})

// Sending

test("a message that was posted offline is pending, and sent after joining", async () => {
  post("hello")
  assert.deepEqual(
    timeline.pendingMessages.map(({ message }) => message),
    ["hello"],
  )

  await connect()
  assert.deepEqual(shownTexts(), ["first", "hello"])
  assert.deepEqual(timeline.pendingMessages, [])
})

test("the event of a message confirms it when the answer does not come", async () => {
  await connect()
  socket.answer = (event, payload) => {
    const { seq } = kitchen.answer(event, payload)
    socket.receive("chat", kitchen.rows.get(seq))
    return new Promise(() => {})
  }
  post("hello")
  await flushPromises()

  assert.deepEqual(shownTexts(), ["first", "hello"])
  assert.equal(session.outbox.queuedCount, 0)
})

test("a message whose answer was lost is sent again and shown once", async () => {
  await connect()
  socket.answer = async (event, payload) => {
    kitchen.answer(event, payload)
    socket.disconnect()
    throw new Error("connection lost")
  }
  post("hello")
  await flushPromises()
  answerNormally()
  await connect()

  assert.deepEqual(shownTexts(), ["first", "hello"])
  assert.equal(kitchen.rows.size, 2)
  assert.deepEqual(timeline.pendingMessages, [])
})

test("forty messages keep their order among the messages of others", async () => {
  await connect()
  const texts = Array.from({ length: 40 }, (_, number) => `ben ${number}`)
  for (const [index, text] of texts.entries()) {
    post(text)
    if (index % 3 === 0) socket.receive("chat", kitchen.store({ message: "ada" }))
  }
  for (let turn = 0; turn < 80; turn += 1) await flushPromises()
  await clock.advance(1000)

  const own = shownTexts().filter((text) => text.startsWith("ben"))
  assert.deepEqual(own, texts)
  assert.deepEqual(timeline.rows, [...kitchen.rows.values()])
})

test("when the server no longer knows the connection, the room is joined again", async () => {
  await connect()
  let isForgotten = true
  socket.answer = (event, payload) => {
    if (event === "join") isForgotten = false
    if (!isForgotten) return kitchen.answer(event, payload)
    return { ok: false, code: "not_joined", message: "", retry: false }
  }
  post("hello")
  await clock.advance(1000)

  assert.deepEqual(shownTexts(), ["first", "hello"])
})

test("edits, deletions and reactions are sent like messages, also after an interruption", async () => {
  const edit = { event: "edit", seq: 1, message: "better" }
  const react = { event: "react", seq: 1, emoji: "👍", on: true }
  const remove = { event: "delete", seq: 1 }
  session.outbox.enqueue(edit)
  session.outbox.enqueue({ ...react, mark: "me" }) // the mark is for this page only
  session.outbox.enqueue(remove)
  socket.answer = (event, payload) => {
    if (event === "join") return kitchen.join(payload.after)
    if (event === "since") return kitchen.since(payload.after)
    return { ok: true, rev: 1, head: 1 }
  }
  await connect()
  await flushPromises()

  assert.deepEqual(socket.requests.slice(1, 4), [edit, react, remove])
  assert.equal(session.outbox.queuedCount, 0)
})

test("the missed messages are counted without changing what is shown", async () => {
  storeMany(300)
  timeline.load(page([...kitchen.rows.values()].slice(-50), { older: true }))
  await connect()
  const { applied } = timeline
  const answer = await session.countMissed(1)

  assert.equal(answer.missed, 300)
  assert.equal(answer.messages.length, 200)
  assert.equal(timeline.rows.length, 50)
  assert.equal(timeline.applied, applied)
  assert.equal(session.state, "joined")
  socket.receive("chat", kitchen.store({ message: "and now" }))
  assert.equal(shownTexts().at(-1), "and now")
})

test("missed messages are not counted without a connection or in another history", async () => {
  assert.equal(await session.countMissed(1), null)
  await connect()
  kitchen.epoch = "two"

  assert.equal(await session.countMissed(1), null)
})

for (const isHeard of [true, false]) {
  const refusal = isHeard ? "a refused count" : "a count whose refusal came too late"
  test(`the session joins again when ${refusal} of missed messages has left the room`, async () => {
    await connect()
    let isInRoom = true
    let isBusy = true
    socket.answer = (event, payload) => {
      if (event === "join" && isBusy) {
        isInRoom = false
        isBusy = false
        if (isHeard) return BUSY
        throw new Unreachable("operation has timed out")
      }
      if (event === "join") isInRoom = true
      return isInRoom ? kitchen.answer(event, payload) : NOT_JOINED
    }

    assert.equal(await session.countMissed(1), null)
    await clock.advance(1000)

    assert.ok(isInRoom)
    assert.equal(session.state, "joined")
    socket.receive("chat", kitchen.store({ message: "and now" }))
    assert.equal(shownTexts().at(-1), "and now")
  })
}

// Requests over the connection, and changing the transport.

import assert from "node:assert/strict"
import { test } from "node:test"

import { Refused, Unreachable } from "../../static/js/lib/errors.js"
import { fetchRefusal } from "../../static/js/net/refusal.js"
import { Socket } from "../../static/js/net/socket.js"
import { FakeClock, flushPromises } from "./fakes.mjs"

/** A socket of Socket.IO with a prepared answer. */
class FakeSocketIO {
  connected = true
  active = true
  listeners = {}
  io = { opts: { transports: ["websocket", "polling"] } }
  connectCount = 0

  constructor(answer) {
    this.answer = answer
  }

  on(event, listener) {
    this.listeners[event] = listener
  }

  disconnect() {
    return this
  }

  connect() {
    this.connectCount += 1
  }

  timeout() {
    return { emitWithAck: async () => this.answer() }
  }
}

function connection(socketIO, askForRefusal = async () => "", clock = new FakeClock()) {
  return new Socket(socketIO, { askForRefusal, clock })
}

function socketWithAnswer(answer) {
  return connection(new FakeSocketIO(answer))
}

test("a request resolves with the answer", async () => {
  const answer = { ok: true, seq: 7 }

  assert.deepEqual(await socketWithAnswer(() => answer).request("chat", {}), answer)
})

test("a refused request throws Refused", async () => {
  const refusal = { ok: false, code: "busy", message: "Busy.", retry: true, retry_after_ms: 5000 }

  await assert.rejects(
    socketWithAnswer(() => refusal).request("chat", {}),
    (error) => error instanceof Refused && error.retry && error.retryAfterMs === 5000,
  )
})

test("a request without an answer throws Unreachable", async () => {
  const socket = socketWithAnswer(() => {
    throw new Error("operation has timed out")
  })

  await assert.rejects(socket.request("chat", {}), Unreachable)
})

test("without a connection a request fails at once and is not sent later", async () => {
  const socketIO = new FakeSocketIO(() => assert.fail("it was sent"))
  socketIO.connected = false

  await assert.rejects(connection(socketIO).request("chat", {}), Unreachable)
})

function refusedConnection(responseText) {
  return Object.assign(new Error("xhr poll error"), { context: { responseText } })
}

test("the connection is tried at once, but not before it is opened", () => {
  const socketIO = new FakeSocketIO()
  socketIO.connected = false
  const socket = connection(socketIO)
  socket.retryNow()
  assert.equal(socketIO.connectCount, 0)

  socket.open()
  socket.retryNow()
  assert.equal(socketIO.connectCount, 2)
})

test("a connection that was closed is not opened again by itself", async () => {
  const clock = new FakeClock()
  const socketIO = new FakeSocketIO()
  const socket = connection(socketIO, undefined, clock)
  socket.open()
  socketIO.active = false
  socket.close()
  socketIO.connected = false
  socketIO.listeners.disconnect()

  await clock.advance(60_000)
  socket.retryNow()
  assert.equal(socketIO.connectCount, 1)

  socket.open()
  assert.equal(socketIO.connectCount, 2)
})

test("a server that offers other transports is connected to with those, once", () => {
  const socketIO = new FakeSocketIO()
  connection(socketIO)
  const { listeners, io } = socketIO
  listeners.connect_error(refusedConnection('{"message": "No.", "transports": ["websocket"]}'))
  assert.deepEqual(io.opts.transports, ["websocket"])
  assert.equal(socketIO.connectCount, 1)

  listeners.connect_error(refusedConnection('{"transports": ["polling"]}'))
  assert.deepEqual(io.opts.transports, ["polling"])
  assert.equal(socketIO.connectCount, 1)

  listeners.connect()
  listeners.connect_error(refusedConnection('{"transports": ["polling", "websocket"]}'))
  assert.deepEqual(io.opts.transports, ["websocket", "polling"])
  assert.equal(socketIO.connectCount, 2)
})

test("a failed connection that names no known transport changes nothing", () => {
  const socketIO = new FakeSocketIO()
  connection(socketIO)
  const bodies = [
    undefined,
    "",
    "<h1>Bad Gateway</h1>",
    "null",
    "{}",
    '{"transports": "polling"}',
    '{"transports": ["pigeon"]}',
  ]
  for (const body of bodies) socketIO.listeners.connect_error(refusedConnection(body))
  socketIO.listeners.connect_error(new Error("websocket error"))

  assert.deepEqual(socketIO.io.opts.transports, ["websocket", "polling"])
  assert.equal(socketIO.connectCount, 0)
})

test("the reason why the server has refused a connection is reported", async () => {
  const socketIO = new FakeSocketIO()
  const reasons = []
  const socket = connection(socketIO)
  socket.addEventListener("refused", ({ detail }) => reasons.push(detail))
  const data = { ok: false, code: "too_many_connections", message: "Too many.", retry: true }

  socketIO.listeners.connect_error(Object.assign(new Error("Too many."), { data }))
  socketIO.listeners.connect_error(new Error("websocket error"))

  assert.deepEqual(reasons, ["Too many."])
  await flushPromises()
  assert.deepEqual(reasons, ["Too many.", ""], "the second attempt was not refused")
})

test("an answer about an earlier attempt to connect is ignored", async () => {
  const socketIO = new FakeSocketIO()
  const reasons = []
  const answers = []
  const askForRefusal = () =>
    new Promise((resolve) => {
      answers.push(resolve)
    })
  const socket = connection(socketIO, askForRefusal)
  socket.addEventListener("refused", ({ detail }) => reasons.push(detail))

  socketIO.listeners.connect_error(new Error("websocket error"))
  socketIO.listeners.connect_error(new Error("websocket error"))
  answers[1]("Not from here.")
  await flushPromises()
  answers[0]("")
  await flushPromises()

  assert.deepEqual(reasons, ["Not from here."])
})

for (const [data, delayMs] of [
  [{ message: "Too many.", retry_after_ms: 10_000 }, 10_000],
  [{ message: "No." }, 2000],
  [undefined, 2000],
]) {
  test(`a refusal with ${JSON.stringify(data)} is tried again after ${delayMs} ms`, async () => {
    const clock = new FakeClock()
    const socketIO = new FakeSocketIO()
    socketIO.active = false
    connection(socketIO, undefined, clock)
    clock.random = () => 0

    socketIO.listeners.connect_error(Object.assign(new Error("refused"), { data }))
    await clock.advance(delayMs - 1)
    assert.equal(socketIO.connectCount, 0)

    await clock.advance(1)
    assert.equal(socketIO.connectCount, 1)
  })
}

test("a connection that the server refuses has the reason, and is tried again", async () => {
  const socketIO = new FakeSocketIO()
  const reasons = []
  let refusal = "Not from here."
  const socket = connection(socketIO, async () => refusal)
  socket.addEventListener("refused", ({ detail }) => reasons.push(detail))

  socketIO.listeners.connect_error(new Error("websocket error"))
  await flushPromises()
  assert.deepEqual(reasons, ["Not from here."])

  socketIO.listeners.disconnect("transport error") // a polling session that had begun
  await flushPromises()
  assert.equal(reasons.length, 2)

  refusal = ""
  socketIO.listeners.connect_error(new Error("websocket error"))
  await flushPromises()
  assert.equal(reasons.at(-1), "")
})

test("after a working connection the server is not asked why it ended", async () => {
  const socketIO = new FakeSocketIO()
  let questions = 0
  connection(socketIO, async () => {
    questions += 1
    return ""
  })

  socketIO.listeners.connect()
  socketIO.listeners.disconnect("transport close")
  await flushPromises()
  assert.equal(questions, 0)

  socketIO.listeners.connect_error(new Error("websocket error"))
  await flushPromises()
  assert.equal(questions, 1)
})

test("only the refusals of the server count as such", async () => {
  const answer =
    (body, ok = false) =>
    async () => ({ ok, json: async () => JSON.parse(body) })
  const refused = '{"code": "origin_refused", "message": "Not from here."}'

  assert.equal(await fetchRefusal(answer(refused)), "Not from here.")
  assert.equal(await fetchRefusal(answer('{"code": "host_refused", "message": "No."}')), "No.")
  for (const code of ["rate_limited", "too_many_connections"]) {
    assert.equal(await fetchRefusal(answer(`{"code": "${code}", "message": "Wait."}`)), "Wait.")
  }
  for (const body of [
    '"Invalid session"',
    '{"code": 1, "message": "Unknown session"}',
    '{"message": "No.", "transports": ["websocket"]}',
    "null",
    "<h1>Bad Gateway</h1>",
  ]) {
    assert.equal(await fetchRefusal(answer(body)), "", body)
  }
  assert.equal(await fetchRefusal(answer(refused, true)), "")
  assert.equal(await fetchRefusal(() => Promise.reject(new TypeError("offline"))), "")
})

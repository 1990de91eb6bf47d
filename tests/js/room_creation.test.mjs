// Creating a room whose page was fetched ahead of the visit.

import assert from "node:assert/strict"
import { beforeEach, test } from "node:test"

import { createRoom } from "../../static/js/net/room_creation.js"
import { FakeClock, flushPromises } from "./fakes.mjs"

let clock
let requests
/** What the next requests are answered with; the last one is repeated. */
let answers
let isDone

beforeEach(() => {
  clock = new FakeClock()
  clock.random = () => 0
  requests = []
  isDone = false
})

const answer = (status, headers = {}) => new Response("", { status, headers })

async function send(path) {
  requests.push(path)
  const next = answers.length > 1 ? answers.shift() : answers[0]
  if (next instanceof Error) throw next
  return next
}

async function start(...prepared) {
  answers = prepared
  createRoom("/kitchen/", { clock, send }).then(() => {
    isDone = true
  })
  await flushPromises()
}

test("the page is requested once when that works", async () => {
  await start(answer(200))

  assert.deepEqual(requests, ["/kitchen/"])
  assert.equal(isDone, true)
})

test("it is requested again when the server asks for it", async () => {
  await start(answer(429, { "Retry-After": "30" }), answer(503), answer(200))
  await clock.advance(29_999)
  assert.equal(requests.length, 1)

  await clock.advance(1)
  assert.equal(requests.length, 2)
  await clock.advance(2999)
  assert.equal(isDone, false)

  await clock.advance(1)
  assert.equal(requests.length, 3)
  assert.equal(isDone, true)
})

test("it is requested again while there is no connection", async () => {
  await start(new TypeError("offline"))
  await clock.advance(60_000)
  assert.equal(requests.length, 21)
  assert.equal(isDone, false)

  answers = [answer(200)]
  await clock.advance(3000)
  assert.equal(isDone, true)
})

test("a date or nonsense in Retry-After is no delay", async () => {
  await start(answer(503, { "Retry-After": "Fri, 31 Dec 1999 23:59:59 GMT" }), answer(200))
  await clock.advance(3000)

  assert.equal(isDone, true)
})

test("a final refusal ends it", async () => {
  await start(answer(400), answer(200))

  assert.equal(requests.length, 1)
  assert.equal(isDone, true)
})

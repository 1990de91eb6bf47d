// The small ones: ids, times, what the browser remembers, and how the line answers.

import assert from "node:assert/strict"
import { test } from "node:test"

import { Refused, Unreachable } from "../../static/js/lib/errors.js"
import { randomId } from "../../static/js/lib/ids.js"
import { formatDay, formatFullTime, formatTime, localDay } from "../../static/js/lib/time.js"
import { Socket } from "../../static/js/net/socket.js"
import { detectWake } from "../../static/js/net/wake_detection.js"
import { Preferences } from "../../static/js/state/preferences.js"
import { RecentRooms } from "../../static/js/state/recent_rooms.js"
import { FakeClock } from "./helpers.mjs"

test("no two messages get one id, and the server takes every one of them", () => {
  const ids = Array.from({ length: 1000 }, randomId)

  assert.equal(new Set(ids).size, 1000)
  for (const id of ids) assert.match(id, /^[A-Za-z0-9_-]{22}$/)
})

test("Ada reads the time on her own clock and the day in her own calendar", () => {
  const iso = new Date(2026, 10, 22, 23, 30).toISOString()

  assert.equal(localDay(iso), "2026-11-22")
  assert.match(formatTime(iso), /30/)
  assert.match(formatDay(iso), /2026/)
  assert.ok(formatFullTime(iso).length > formatDay(iso).length)
})

const shelf = () => {
  const kept = new Map()
  return { getItem: (key) => kept.get(key) ?? null, setItem: (key, value) => kept.set(key, value) }
}

test("Ada's browser lists her rooms, the latest first, each once", () => {
  const area = shelf()
  const rooms = new RecentRooms(new Preferences(() => area))
  for (const label of ["kitchen", "cellar", "kitchen"]) rooms.add({ label, name: "", at: 0 })

  assert.deepEqual(
    rooms.all().map(({ label }) => label),
    ["kitchen", "cellar"],
  )
})

test("Ada's browser remembers thirty rooms, and forgets the one she wants forgotten", () => {
  const area = shelf()
  const rooms = new RecentRooms(new Preferences(() => area))
  for (let number = 0; number < 40; number += 1) {
    rooms.add({ label: `room-${number}`, name: "", at: 0 })
  }
  rooms.add({ label: "room-20", name: "", at: 0 })
  rooms.remove("room-39")

  const labels = rooms.all().map(({ label }) => label)
  assert.equal(labels.length, 29)
  assert.deepEqual(labels.slice(0, 2), ["room-20", "room-38"])
})

test("a browser that may not remember remembers as long as the page is open", () => {
  const storage = new Preferences(() => {
    throw new Error("The operation is insecure.")
  })
  storage.set("name", "Ada")

  assert.equal(storage.get("name"), "Ada")
  assert.equal(storage.get("token"), null)
})

test("what somebody else left in the storage breaks nothing", () => {
  const area = shelf()
  area.setItem("confab:rooms", "{not json")
  const rooms = new RecentRooms(new Preferences(() => area))
  assert.deepEqual(rooms.all(), [])

  area.setItem("confab:rooms", '[null, {"label": 7}, {"label": "kitchen"}]')
  assert.deepEqual(rooms.all(), [{ label: "kitchen" }])
})

/** A Socket.IO line that says what it is told to. */
class Line {
  connected = true
  active = true
  heard = {}
  io = { opts: { transports: ["websocket", "polling"] } }
  tries = 0
  constructor(answer) {
    this.answer = answer
  }
  on(event, tell) {
    this.heard[event] = tell
  }
  disconnect() {
    return this
  }
  connect() {
    this.tries += 1
  }
  timeout() {
    return { emitWithAck: async () => this.answer() }
  }
}

test("a yes is the answer, a no is a refusal, silence is neither", async () => {
  assert.deepEqual(await new Socket(new Line(() => ({ ok: true, seq: 7 }))).request("chat", {}), {
    ok: true,
    seq: 7,
  })

  const no = new Socket(
    new Line(() => ({
      ok: false,
      code: "busy",
      message: "Busy.",
      retry: true,
      retry_after_ms: 5000,
    })),
  )
  await assert.rejects(
    no.request("chat", {}),
    (error) => error instanceof Refused && error.retry && error.retryAfterMs === 5000,
  )

  const silence = () => {
    throw new Error("operation has timed out")
  }
  await assert.rejects(new Socket(new Line(silence)).request("chat", {}), Unreachable)
})

test("nothing is asked on a line that is down, so nothing is kept to be sent blindly later", async () => {
  const line = new Line(() => assert.fail("it was sent"))
  line.connected = false

  await assert.rejects(new Socket(line).request("chat", {}), Unreachable)
})

const refusedWith = (responseText) =>
  Object.assign(new Error("xhr poll error"), { context: { responseText } })

test("a server that refuses a transport and names others is followed, at once, but not in a circle", () => {
  const line = new Line()
  new Socket(line)
  line.heard.connect_error(refusedWith('{"message": "Not here.", "transports": ["websocket"]}'))
  assert.deepEqual(line.io.opts.transports, ["websocket"])
  assert.equal(line.tries, 1)

  line.heard.connect_error(refusedWith('{"transports": ["polling"]}'))
  assert.deepEqual(line.io.opts.transports, ["polling"])
  assert.equal(line.tries, 1)

  line.heard.connect()
  line.heard.connect_error(refusedWith('{"transports": ["polling", "websocket"]}'))
  assert.deepEqual(line.io.opts.transports, ["websocket", "polling"])
  assert.equal(line.tries, 2)
})

test("a refusal that names no transport we know changes nothing", () => {
  const line = new Line()
  new Socket(line)
  for (const body of [
    undefined,
    "",
    "<h1>Bad Gateway</h1>",
    "null",
    "{}",
    '{"transports": "polling"}',
    '{"transports": ["pigeon"]}',
  ]) {
    line.heard.connect_error(refusedWith(body))
  }
  line.heard.connect_error(new Error("websocket error"))

  assert.deepEqual(line.io.opts.transports, ["websocket", "polling"])
  assert.equal(line.tries, 0)
})

/** A page that is looked at, or not, on a computer that may sleep. */
function watchedPage() {
  const page = Object.assign(new EventTarget(), { visibilityState: "visible" })
  const view = new EventTarget()
  const clock = new FakeClock()
  const tries = []
  detectWake(
    { clock, network: view, page },
    { onVisible: () => tries.push("visible"), onWake: () => tries.push("wake") },
  )
  const show = (state) => {
    page.visibilityState = state
    page.dispatchEvent(new Event("visibilitychange"))
  }
  return { clock, view, tries, show }
}

test("looking again tries again; after a minute away the line is asked whether it lives", async () => {
  const { clock, tries, show } = watchedPage()
  show("hidden")
  await clock.advance(59_000)
  show("visible")
  assert.deepEqual(tries, ["visible"])

  show("hidden")
  await clock.advance(61_000)
  assert.deepEqual(tries, ["visible"])
  show("visible")
  assert.deepEqual(tries, ["visible", "wake"])
})

test("when the network is back, the line is asked at once", () => {
  const { view, tries } = watchedPage()
  view.dispatchEvent(new Event("online"))

  assert.deepEqual(tries, ["wake"])
})

test("a computer that has slept is noticed, a busy one is not", async () => {
  const { clock, tries } = watchedPage()
  await clock.advance(20_000)
  clock.sleep(20_000)
  await clock.advance(5000)
  assert.deepEqual(tries, [])

  clock.sleep(40_000)
  await clock.advance(5000)
  assert.deepEqual(tries, ["wake"])
})

// People for the torture: the very modules the browser loads, with and without cookies, and what each of them saw in a history file.
// Usage: node people.mjs '{"urls": [...], "label": "kitchen", "people": 10, "talkers": 4, "rate": 20, "seed": 1, "deadline_seconds": 60, "history": "..."}'
// Lines on stdin: "hush", "talk", and "home", after which everybody waits until nothing is missing, reads back to the first message, and leaves.

import { appendFileSync } from "node:fs"
import { register } from "node:module"
import { createInterface } from "node:readline"
import { io } from "socket.io-client"

import { FakeLocks, FakeStorage } from "../js/fakes.mjs"

// socket.js asks the browser's own build of Socket.IO for a line; here it gets node's, which can send a cookie.
const stand_in = "data:text/javascript,export const io = (options) => globalThis.dialling(options)"
const resolve = `export const resolve = (name, context, next) => name.includes("vendor/socket.io") ? { url: ${JSON.stringify(stand_in)}, shortCircuit: true } : next(name, context)`
register(`data:text/javascript,${encodeURIComponent(resolve)}`)

const [
  { clock },
  { randomId },
  { RoomSession },
  { connect },
  { electWithLock },
  { Outbox },
  { OutboxStore },
  { Timeline },
] = await Promise.all(
  [
    "lib/clock",
    "lib/ids",
    "net/room_session",
    "net/socket",
    "state/leader_election",
    "state/outbox",
    "state/outbox_store",
    "state/timeline",
  ].map((name) => import(`../../static/js/${name}.js`)),
)

const EVERYBODY_WAITS_MS = 10_000 // at most, until nothing is missing
const BEAT_MS = 3_000 // so long nothing may be missing before we believe it
const plan = { talkers: 0, strangers: 2, bots: 1, rate: 10, ...JSON.parse(process.argv[2]) }
const sleep = (ms) => new Promise((done) => setTimeout(done, ms))

let lines = []
let hushed = false
let over = false

/** Times are those of the machine's monotonic clock, which Python reads too. */
function note(who, what, more = {}) {
  lines.push(
    JSON.stringify({ at: Number(process.hrtime.bigint() / 1000n) / 1000, who, what, ...more }),
  )
}

function write() {
  if (lines.length) appendFileSync(plan.history, `${lines.join("\n")}\n`)
  lines = []
}

/** Mulberry32: the same seed gives the same evening. */
function dice(seed) {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** A line to the server as `options` wish it; all that arrives is noted as it arrives. */
function line(who, label, url, options) {
  const made = io(url, { ...options, forceNew: true })
  made.on("connect", () => note(who, "up"))
  made.on("disconnect", () => note(who, "down"))
  made.onAny((event, said) =>
    note(who, "told", { event, label: said.label, in: label, row: brief(said), head: said.head }),
  )
  return made
}

const brief = ({ seq, rev, id, message, deleted, edited, timestamp, kind, reactions }) => ({
  seq,
  rev,
  id,
  message,
  deleted,
  kind,
  reactions,
  since: edited ?? timestamp,
})

/** Somebody in front of the page of a room. */
class Person {
  mine = [] // places of own messages that may be changed
  known = new Set() // all places of own messages
  put = new Set() // places and emoji of own reactions
  said = 0
  busy = false
  leaving = false

  constructor(number, label) {
    this.label = label
    this.who = this.name = `${label} ${number}`
    this.url = plan.urls[number % plan.urls.length]
    this.cookies = number % 2 === 0
    this.random = dice(plan.seed * 1000 + number)
  }

  /** Opens the page, as main.js does. */
  async arrive() {
    const response = await fetch(`${this.url}/${this.label}/`)
    const html = await response.text()
    const page = JSON.parse(html.match(/id="page">(.*?)<\/script>/s)[1])
    const cookie = response.headers.getSetCookie()[0]?.split(";")[0]
    const extraHeaders = this.cookies && cookie ? { cookie } : {}
    globalThis.dialling = (options) =>
      line(this.who, this.label, this.url, { ...options, extraHeaders })
    this.socket = connect(html.match(/data-transports="([^"]*)"/)[1].split(" "), () => this.token)
    this.timeline = new Timeline()
    const store = new OutboxStore(page.label, new FakeStorage().openTab())
    const createOutbox = (send) =>
      new Outbox({ send, elect: electWithLock("outbox", new FakeLocks()), clock, store })
    this.room = new RoomSession({
      label: page.label,
      mark: page.you.mark,
      socket: this.socket,
      timeline: this.timeline,
      createOutbox,
      clock,
    })
    this.watch()
    this.mark = page.you.mark
    this.timeline.load(page)
    this.socket.open()
  }

  watch() {
    this.room.addEventListener("identity", ({ detail }) => {
      this.token = detail.token ?? this.token
      this.mark = detail.mark
    })
    this.room.addEventListener("state", () => note(this.who, this.room.state))
    this.room.outbox.addEventListener("sent", ({ detail: { item, answer } }) => {
      note(this.who, "ok", { id: item.id, seq: answer.seq, rev: answer.seq })
      if (!this.known.has(answer.seq)) this.mine.push(answer.seq) // its row may come before the answer
      this.known.add(answer.seq)
    })
    this.timeline.addEventListener("reset", () =>
      note(this.who, "load", { epoch: this.timeline.epoch, rows: this.timeline.rows.map(brief) }),
    )
    this.timeline.addEventListener("change", ({ detail }) => {
      for (const { row } of detail)
        if (row) note(this.who, this.leaving ? "read" : "seen", { row: brief(row) })
    })
  }

  async talk() {
    const pause = (plan.talkers * 1000) / plan.rate
    while (!over) {
      await sleep(pause * (0.5 + this.random()))
      if (!hushed && !over) await this.act()
    }
  }

  async act() {
    const chance = this.random()
    if (chance < 0.6 || !this.mine.length) return this.say()
    const place = Math.floor(this.random() * this.mine.length)
    if (chance < 0.72)
      return this.change("edit", { seq: this.mine[place], message: this.words("in other words") })
    if (chance < 0.8) return this.change("delete", { seq: this.mine.splice(place, 1)[0] })
    if (chance < 0.97) return this.react()
    return this.rename()
  }

  /** With a full stop, so that no text begins another. */
  words = (kind) => `${this.who} ${kind} ${(this.said += 1)}.`

  async react() {
    const rows = this.timeline.rows.filter((row) => !row.deleted && !row.kind).slice(-30)
    if (!rows.length) return
    const { seq } = rows[Math.floor(this.random() * rows.length)]
    const emoji = ["👍", "❤️", "🦔"][Math.floor(this.random() * 3)]
    const on = !this.put.has(`${seq} ${emoji}`)
    if (!(await this.change("react", { seq, emoji, on }))) return
    if (on) this.put.add(`${seq} ${emoji}`)
    else this.put.delete(`${seq} ${emoji}`)
  }

  async rename() {
    const handle = this.words("as")
    if (await this.change("rename", { handle })) this.name = handle
  }

  say() {
    const item = this.room.outbox.enqueue({ handle: this.name, message: this.words("says") })
    if (item) note(this.who, "invoke", { do: "chat", id: item.id, message: item.message })
  }

  /** The page cannot change messages yet, so this asks by itself, until there is an answer. */
  async change(event, data) {
    const id = randomId()
    this.busy = true
    note(this.who, "invoke", { do: event, id, mark: this.mark, message: data.handle, ...data })
    for (;;) {
      const answer = await this.socket.request(event, data).catch((error) => error)
      if (answer.ok) note(this.who, "ok", { id, seq: data.seq, rev: answer.rev })
      else if (answer.retry === false && answer.code !== "not_joined")
        note(this.who, "fail", { id, code: answer.code })
      else {
        await sleep(Math.min(answer.retryAfterMs ?? 300, 1000))
        continue
      }
      this.busy = false
      return answer.ok
    }
  }

  get whole() {
    return (
      this.room.state === "joined" &&
      !this.timeline.isBehind &&
      !this.room.outbox.queuedCount &&
      !this.busy
    )
  }

  /** Reads back to the first message; the page keeps a window of it at a time, so what counts is all that was on the screen on the way. */
  async leave() {
    this.leaving = true
    const pale = this.timeline.pendingMessages.map(({ id }) => id)
    const shown = new Map(this.timeline.rows.map((row) => [row.seq, row]))
    for (let tries = 0; this.timeline.hasOlder && tries < 500; tries += 1) {
      await this.room.loadEarlier()
      for (const row of this.timeline.rows) shown.set(row.seq, row)
    }
    const rows = [...shown.values()].sort((one, other) => one.seq - other.seq).map(brief)
    const { applied, epoch } = this.timeline
    note(this.who, "screen", { label: this.label, applied, epoch, rows, pale })
  }
}

/** Somebody's program: a plain Socket.IO client that does not wait for answers, and never says anything twice. */
class Bot {
  visit = 0
  said = 0
  whole = true

  constructor(number, label) {
    this.who = `${label} bot ${number}`
    this.line = line(this.who, label, plan.urls[number % plan.urls.length], {
      transports: ["websocket"],
      reconnectionDelay: 300,
      reconnectionDelayMax: 1000,
    })
    this.line.on("connect", () => {
      this.visit += 1
      this.line.emit("join", { label })
    })
  }

  async talk() {
    while (!over) {
      await sleep((15_000 / plan.rate) * (0.5 + Math.random()))
      for (let count = 0; count < 3 && !hushed && !over && this.line.connected; count += 1)
        this.say()
    }
  }

  async say() {
    const said = {
      handle: this.who,
      message: `${this.who} says ${(this.said += 1)}`,
      id: randomId(),
    }
    note(this.who, "invoke", { do: "chat", id: said.id, message: said.message, visit: this.visit })
    const answer = await this.line
      .timeout(8000)
      .emitWithAck("chat", said)
      .catch(() => null)
    if (answer?.ok) note(this.who, "ok", { id: said.id, seq: answer.seq, rev: answer.seq })
  }
}

async function until(condition, ms) {
  for (const end = performance.now() + ms; !condition() && performance.now() < end;) await sleep(50)
  return condition()
}

const whole = () =>
  people.every((person) => person.whole && person.timeline.applied === tip(person.label))
const tip = (label) =>
  Math.max(
    ...people.filter((person) => person.label === label).map(({ timeline }) => timeline.applied),
  )

/** Until nothing has been missing for so long that a beacon would have found it. */
async function settle() {
  const end = performance.now() + EVERYBODY_WAITS_MS + BEAT_MS
  while (performance.now() < end) {
    if (!(await until(whole, end - performance.now()))) break
    if (!(await until(() => !whole(), BEAT_MS))) return
  }
}

setTimeout(() => process.exit(1), plan.deadline_seconds * 1000).unref() // nobody waits for ever
const people = Array.from({ length: plan.people }, (_, number) => new Person(number, plan.label))
for (let number = 0; number < plan.strangers; number += 1)
  people.push(new Person(number, `${plan.label}-next-door`))
for (let first = 0; first < people.length; first += 20)
  await Promise.all(people.slice(first, first + 20).map((person) => person.arrive()))
const talkers = [...people.slice(0, plan.talkers), ...people.slice(plan.people, plan.people + 1)]
if (plan.bots) await until(() => people.every((person) => person.whole), 20_000)
for (let number = 0; number < plan.bots; number += 1) talkers.push(new Bot(number, plan.label))
if (!(await until(() => people.every((person) => person.whole), 20_000))) process.exit(1)
note("", "begin")
setInterval(write, 200).unref()
console.log("ready")
for (const talker of talkers) talker.talk()

for await (const order of createInterface({ input: process.stdin })) {
  note("", order)
  hushed = order !== "talk"
  if (order === "home") break
}
over = true
await settle()
for (const person of people) await person.leave()
write()
process.exit()

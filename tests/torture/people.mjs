// Page clients for the fault scenarios: they run the very modules that the browser loads, with and
// without cookies, and record what each of them sends, receives and shows. Bots are plain
// Socket.IO clients that do not wait for answers and never send a message again.
//
// Usage: node people.mjs PLAN, where PLAN is JSON:
//   {"urls": [...], "label": "kitchen", "clients": 10, "senders": 4, "bots": 1, "rate": 20,
//    "seed": 1, "deadline_seconds": 60, "history": "..."}
// Orders on stdin, one per line:
//   send, hold   send requests; send none
//   converge     wait until no client misses anything; the reply is "done"
//   probe ID     wait until all have received the message ID-LABEL of their room; likewise
//   finish       read back to the first message, record it, and exit

import { register } from "node:module"
import { createInterface } from "node:readline"
import { io } from "socket.io-client"

import { FakeLocks, FakeStorage } from "../js/fakes.mjs"
import { History, rowRecord, seededRandom, sleep, waitUntil } from "./history.mjs"

// The page's socket module imports the browser's build of Socket.IO. Here it gets node's build,
// which can send cookies.
const STAND_IN =
  "data:text/javascript,export const io = (options) => globalThis.openSocket(options)"
const RESOLVE_HOOK = `
  export function resolve(name, context, next) {
    if (!name.includes("vendor/socket.io")) return next(name, context)
    return { url: ${JSON.stringify(STAND_IN)}, shortCircuit: true }
  }
`
register(`data:text/javascript,${encodeURIComponent(RESOLVE_HOOK)}`)

// The modules of the page; dynamic, because the hook above must be registered before.
const { clock } = await import("../../static/js/lib/clock.js")
const { randomId } = await import("../../static/js/lib/ids.js")
const { RoomSession } = await import("../../static/js/net/room_session.js")
const { connect } = await import("../../static/js/net/socket.js")
const { electWithLock } = await import("../../static/js/state/leader_election.js")
const { Outbox } = await import("../../static/js/state/outbox.js")
const { OutboxStore } = await import("../../static/js/state/outbox_store.js")
const { Timeline } = await import("../../static/js/state/timeline.js")

const START_MS = 20_000
const CONVERGE_MS = 10_000
const STABLE_MS = 3_000 // how long nothing may be missing: longer than the reconciler's pause
const PROBE_MS = 4_000 // longer than the promise, so that a late probe is recorded as late
const RETRY_MS = 300 // after a change was not acknowledged
const MAX_RETRY_MS = 1_000
const BOT_BURST = 3
const BOT_BURST_MS = 15_000 // between two bursts, at a rate of one request per second
const MIN_BOT_PAUSE_MS = 3_750 // a bot sends at most 0.8 messages per second: see docs/delivery.md
const MAX_QUEUED_MESSAGES = 3 // during an outage, so that a client then sends fewer than its burst
const BOT_ANSWER_MS = 8_000
const OUTSIDERS = 2 // clients in another room, of which the first one sends
const CLIENTS_STARTED_AT_ONCE = 20
const MAX_HISTORY_PAGES = 500
const REACTABLE_MESSAGES = 30
const EMOJI = ["👍", "❤️", "🦔"]

const plan = JSON.parse(process.argv[2])
const history = new History(plan.history)

let maySend = true
let isFinished = false

/** Opens a Socket.IO connection and records its events as they arrive. */
function openRecordedSocket(name, label, url, options) {
  const socket = io(url, { ...options, forceNew: true })
  socket.on("connect", () => history.record(name, "connect"))
  socket.on("disconnect", () => history.record(name, "disconnect"))
  socket.onAny((event, payload) => history.recordEvent(name, event, payload))
  return socket
}

/** The modules of the page of a room, with somebody who sends requests at random. */
class PageClient {
  #ownSeqs = [] // own messages that may be changed
  #knownSeqs = new Set() // all own messages
  #reactions = new Set() // own reactions: seq and emoji
  #textCount = 0
  #isChanging = false // waiting for the answer to a change
  #isReadingBack = false

  constructor(number, label) {
    this.label = label
    this.name = `${label} page ${number}`
    this.handle = this.name
    this.url = plan.urls[number % plan.urls.length]
    this.usesCookies = number % 2 === 0
    this.random = seededRandom(plan.seed * 1000 + number)
  }

  /** Opens the page, as main.js does. */
  async open() {
    const response = await fetch(`${this.url}/${this.label}/`)
    const html = await response.text()
    const page = JSON.parse(html.match(/id="page">(.*?)<\/script>/s)[1])
    const transports = html.match(/data-transports="([^"]*)"/)[1].split(" ")
    const cookie = response.headers.getSetCookie()[0]?.split(";")[0]
    const extraHeaders = this.usesCookies && cookie ? { cookie } : {}
    globalThis.openSocket = (options) =>
      openRecordedSocket(this.name, this.label, this.url, { ...options, extraHeaders })
    this.mark = page.you.mark
    this.#build(page, transports)
    this.#watch()
    this.timeline.load(page)
    this.socket.open()
  }

  /** Connects the modules of the page with each other. */
  #build(page, transports) {
    const store = new OutboxStore(page.label, new FakeStorage().openTab())
    const elect = electWithLock("outbox", new FakeLocks())
    this.socket = connect(transports, () => this.token)
    this.timeline = new Timeline()
    this.room = new RoomSession({
      label: page.label,
      mark: page.you.mark,
      socket: this.socket,
      timeline: this.timeline,
      createOutbox: (send) => new Outbox({ send, elect, clock, store }),
      clock,
    })
  }

  /** Records what the modules of the page report. */
  #watch() {
    this.room.addEventListener("identity", ({ detail }) => {
      this.token = detail.token ?? this.token
      this.mark = detail.mark
    })
    this.room.addEventListener("state", () => this.#record("state", { state: this.room.state }))
    this.room.outbox.addEventListener("change", ({ detail: { id, not_before } }) => {
      if (not_before !== undefined) this.#record("limited", { id })
    })
    this.room.outbox.addEventListener("sent", ({ detail: { item, answer } }) => {
      this.#record("ok", { id: item.id, seq: answer.seq, rev: answer.seq })
      // A message is reported as sent twice when its row arrives before the answer.
      if (!this.#knownSeqs.has(answer.seq)) this.#ownSeqs.push(answer.seq)
      this.#knownSeqs.add(answer.seq)
    })
    this.timeline.addEventListener("reset", () => {
      const { epoch, rows } = this.timeline
      this.#record("reset", { epoch, rows: rows.map(rowRecord) })
    })
    this.timeline.addEventListener("change", ({ detail }) => {
      const type = this.#isReadingBack ? "read_back" : "show"
      for (const { row } of detail) {
        if (row) this.#record(type, { row: rowRecord(row) })
      }
    })
  }

  #record(type, fields) {
    history.record(this.name, type, fields)
  }

  /** Sends requests until the end. */
  async sendRequests() {
    const pauseMs = (plan.senders * 1000) / plan.rate
    while (!isFinished) {
      await sleep(pauseMs * (0.5 + this.random()))
      if (maySend && !isFinished) await this.#sendOne()
    }
  }

  async #sendOne() {
    const chance = this.random()
    if (chance < 0.6 || !this.#ownSeqs.length) return this.#post()
    const index = Math.floor(this.random() * this.#ownSeqs.length)
    if (chance < 0.72) {
      return this.#change("edit", { seq: this.#ownSeqs[index], message: this.#newText("edits") })
    }
    if (chance < 0.8) {
      const [seq] = this.#ownSeqs.splice(index, 1)
      return this.#change("delete", { seq })
    }
    if (chance < 0.97) return this.#react()
    return this.#rename()
  }

  /** Returns a new text. It ends with a full stop, so that no text is the beginning of another. */
  #newText(verb) {
    this.#textCount += 1
    return `${this.name} ${verb} ${this.#textCount}.`
  }

  #post() {
    if (this.room.outbox.queuedCount >= MAX_QUEUED_MESSAGES) return
    const item = this.room.outbox.enqueue({ handle: this.handle, message: this.#newText("posts") })
    if (item) this.#record("invoke", { action: "chat", id: item.id, message: item.message })
  }

  async #react() {
    const reactable = this.timeline.rows.filter((row) => !row.deleted && !row.kind)
    const rows = reactable.slice(-REACTABLE_MESSAGES)
    if (!rows.length) return
    const { seq } = rows[Math.floor(this.random() * rows.length)]
    const emoji = EMOJI[Math.floor(this.random() * EMOJI.length)]
    const key = `${seq} ${emoji}`
    const on = !this.#reactions.has(key)
    const isStored = await this.#change("react", { seq, emoji, on })
    if (!isStored) return
    if (on) this.#reactions.add(key)
    else this.#reactions.delete(key)
  }

  async #rename() {
    const handle = this.#newText("as")
    const isStored = await this.#change("rename", { handle })
    if (isStored) this.handle = handle
  }

  /** Sends a change, past the outbox, until it is answered; returns whether it was accepted. */
  async #change(event, data) {
    const id = randomId()
    this.#isChanging = true
    this.#record("invoke", { action: event, id, mark: this.mark, message: data.handle, ...data })
    for (;;) {
      const answer = await this.socket.request(event, data).catch((error) => error)
      const isRefused = answer.retry === false && answer.code !== "not_joined"
      if (answer.ok || isRefused) {
        if (answer.ok) this.#record("ok", { id, seq: data.seq, rev: answer.rev })
        else this.#record("fail", { id, code: answer.code })
        this.#isChanging = false
        return answer.ok
      }
      await sleep(Math.min(answer.retryAfterMs ?? RETRY_MS, MAX_RETRY_MS))
    }
  }

  has(id) {
    return this.timeline.rows.some((row) => row.id === id)
  }

  /** Whether this client misses nothing it knows of, and has sent everything. */
  get isComplete() {
    const isUpToDate = this.room.state === "joined" && !this.timeline.isBehind
    return isUpToDate && !this.room.outbox.queuedCount && !this.#isChanging
  }

  /** Reads back to the first message and records all rows; the page keeps only some at a time. */
  async readBack() {
    this.#isReadingBack = true
    const pending = this.timeline.pendingMessages.map(({ id }) => id)
    const shown = new Map(this.timeline.rows.map((row) => [row.seq, row]))
    for (let pages = 0; this.timeline.hasOlder && pages < MAX_HISTORY_PAGES; pages += 1) {
      const hasLoaded = await this.room.loadEarlier()
      if (!hasLoaded) await sleep(RETRY_MS)
      for (const row of this.timeline.rows) shown.set(row.seq, row)
    }
    const sorted = [...shown.values()].sort((one, other) => one.seq - other.seq)
    const rows = sorted.map(rowRecord)
    const { applied, epoch } = this.timeline
    this.#record("final", { label: this.label, applied, epoch, rows, pending })
  }
}

/** A plain Socket.IO client that posts in bursts. */
class Bot {
  isComplete = true
  #connectionCount = 0
  #postCount = 0
  #lastId = "" // of the last message received

  constructor(number, label) {
    this.label = label
    this.name = `${label} bot ${number}`
    this.socket = openRecordedSocket(this.name, label, plan.urls[number % plan.urls.length], {
      transports: ["websocket"],
      reconnectionDelay: 300,
      reconnectionDelayMax: 1000,
    })
    this.socket.on("connect", () => {
      this.#connectionCount += 1
      this.socket.emit("join", { label })
    })
    this.socket.on("chat", ({ id }) => {
      this.#lastId = id
    })
  }

  /** Sends bursts of messages until the end. */
  async sendRequests() {
    while (!isFinished) {
      const pauseMs = Math.max(MIN_BOT_PAUSE_MS, BOT_BURST_MS / plan.rate)
      await sleep(pauseMs * (0.75 + Math.random() / 2))
      for (let count = 0; count < BOT_BURST; count += 1) {
        if (maySend && !isFinished && this.socket.connected) this.#post()
      }
    }
  }

  async #post() {
    this.#postCount += 1
    const id = randomId()
    const message = `${this.name} posts ${this.#postCount}`
    const connection = this.#connectionCount
    history.record(this.name, "invoke", { action: "chat", id, message, connection })
    const answer = await this.socket
      .timeout(BOT_ANSWER_MS)
      .emitWithAck("chat", { handle: this.name, message, id })
      .catch(() => null)
    if (answer?.ok) history.record(this.name, "ok", { id, seq: answer.seq, rev: answer.seq })
  }

  has(id) {
    return this.#lastId === id
  }
}

/** Returns the highest change that a page client in a room has applied. */
function highestApplied(label) {
  const inRoom = pageClients.filter((client) => client.label === label)
  return Math.max(...inRoom.map(({ timeline }) => timeline.applied))
}

function haveConverged() {
  return pageClients.every((client) => {
    return client.isComplete && client.timeline.applied === highestApplied(client.label)
  })
}

/** Waits until nothing has been missing for so long that the reconciler would have found it. */
async function converge() {
  const end = performance.now() + CONVERGE_MS + STABLE_MS
  while (performance.now() < end) {
    const converged = await waitUntil(haveConverged, end - performance.now())
    if (!converged) return
    const diverged = await waitUntil(() => !haveConverged(), STABLE_MS)
    if (!diverged) return
  }
}

const haveReceived = (id) =>
  [...pageClients, ...bots].every((client) => client.has(`${id}-${client.label}`))
const areComplete = () => pageClients.every((client) => client.isComplete)

/** Opens the pages of the room and of another one, some at a time. */
async function openPages() {
  const clients = []
  for (let number = 0; number < plan.clients; number += 1) {
    clients.push(new PageClient(number, plan.label))
  }
  for (let number = 0; number < OUTSIDERS; number += 1) {
    clients.push(new PageClient(number, `${plan.label}-next-door`))
  }
  for (let first = 0; first < clients.length; first += CLIENTS_STARTED_AT_ONCE) {
    const some = clients.slice(first, first + CLIENTS_STARTED_AT_ONCE)
    await Promise.all(some.map((client) => client.open()))
  }
  return clients
}

setTimeout(() => process.exit(1), plan.deadline_seconds * 1000).unref()
const pageClients = await openPages()
const bots = []
if (plan.bots) await waitUntil(areComplete, START_MS)
for (let number = 0; number < plan.bots; number += 1) bots.push(new Bot(number, plan.label))
const haveStarted = await waitUntil(areComplete, START_MS)
if (!haveStarted) process.exit(1)
history.record("", "begin")
console.log("ready")
const firstOutsider = pageClients[plan.clients]
for (const sender of [...pageClients.slice(0, plan.senders), firstOutsider, ...bots]) {
  sender.sendRequests()
}

for await (const line of createInterface({ input: process.stdin })) {
  const [order, id] = line.split(" ")
  history.record("", order)
  maySend = order === "send"
  if (order === "finish") break
  if (order === "converge") await converge()
  if (order === "probe") await waitUntil(() => haveReceived(id), PROBE_MS)
  if (order === "converge" || order === "probe") console.log("done")
}
isFinished = true
for (const client of pageClients) await client.readBack()
history.flush()
process.exit()

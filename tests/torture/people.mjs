// Page clients for the fault scenarios: they run the very modules that the browser loads, with and
// without cookies, and record what each of them sends, receives and shows. Bots are plain
// Socket.IO clients that do not wait for answers and never send a message again.
//
// Usage: node people.mjs PLAN, where PLAN is JSON:
//   {"urls": [...], "label": "kitchen", "clients": 10, "senders": 4, "bots": 1, "rate": 20,
//    "transports": [null], "seed": 1, "converge_seconds": 10, "deadline_seconds": 60,
//    "history": "..."}
// Clients use the entries of `transports` in turn; null is what the page or the bot uses by itself.
// Orders on stdin, one per line:
//   send, hold   send requests; send none
//   converge     wait until no client misses anything; the reply is "done"
//   probe ID     wait until all have received the message ID-LABEL of their room; likewise
//   report       read back to the first message and record all; likewise
//   reload NAME  load the page of a client again, as its person may do; likewise
//   finish       exit

import { register } from "node:module"
import { createInterface } from "node:readline"
import { io } from "socket.io-client"

import { FakeLocks, FakeStorage } from "../js/fakes.mjs"
import { entryInTurn, History, rowRecord, seededRandom, sleep, waitUntil } from "./history.mjs"

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
const { Refused } = await import("../../static/js/lib/errors.js")
const { randomId } = await import("../../static/js/lib/ids.js")
const { RoomSession } = await import("../../static/js/net/room_session.js")
const { connect } = await import("../../static/js/net/socket.js")
const { electWithLock } = await import("../../static/js/state/leader_election.js")
const { Outbox } = await import("../../static/js/state/outbox.js")
const { OutboxStore } = await import("../../static/js/state/outbox_store.js")
const { Timeline } = await import("../../static/js/state/timeline.js")

const START_MS = 20_000
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
  #storage = new FakeStorage()
  #cookie = ""
  #connection // the one of Socket.IO
  #epoch = ""

  constructor(number, label) {
    this.label = label
    this.name = `${label} page ${number}`
    this.handle = this.name
    this.url = plan.urls[number % plan.urls.length]
    this.usesCookies = number % 2 === 0
    this.transports = entryInTurn(plan.transports, number)
    this.random = seededRandom(plan.seed * 1000 + number)
  }

  /** Opens the page, as main.js does. */
  async open() {
    const headers = this.#cookie ? { cookie: this.#cookie } : {}
    const response = await fetch(`${this.url}/${this.label}/`, { headers })
    const html = await response.text()
    const page = JSON.parse(html.match(/id="page">(.*?)<\/script>/s)[1])
    const offered = html.match(/data-transports="([^"]*)"/)[1].split(" ")
    const cookie = response.headers.getSetCookie()[0]?.split(";")[0]
    if (this.usesCookies && cookie) this.#cookie = cookie
    const extraHeaders = this.#cookie ? { cookie: this.#cookie } : {}
    globalThis.openSocket = (options) => {
      const transports = this.transports ?? options.transports
      const allOptions = { ...options, transports, extraHeaders }
      this.#connection = openRecordedSocket(this.name, this.label, this.url, allOptions)
      return this.#connection
    }
    this.mark = page.you.mark
    this.#build(page, offered)
    this.#watch()
    this.timeline.load(page)
    this.room.outbox.restore()
    this.socket.open()
  }

  /** Loads the page again: it has the same cookie or token, and what the browser has stored. */
  async reload() {
    if (this.#connection.connected) this.#record("disconnect")
    this.#connection.removeAllListeners().disconnect()
    await this.open()
  }

  /** Connects the modules of the page with each other. */
  #build(page, offered) {
    const store = new OutboxStore(page.label, this.#storage.openTab())
    const elect = electWithLock("outbox", new FakeLocks())
    this.socket = connect(offered, () => this.token, clock)
    this.#recordRefusals(this.socket)
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

  /** Records the codes of refusals; the page shows their text. */
  #recordRefusals(socket) {
    const request = socket.request.bind(socket)
    socket.request = async (event, ...rest) => {
      try {
        return await request(event, ...rest)
      } catch (error) {
        if (error instanceof Refused) this.#record("refused", { event, code: error.code })
        throw error
      }
    }
  }

  /** Records what the modules of the page report, until the page is loaded again. */
  #watch() {
    const { room } = this
    const listen = (target, event, listener) => {
      target.addEventListener(event, ({ detail }) => {
        if (room === this.room) listener(detail)
      })
    }
    listen(room, "identity", (identity) => {
      this.token = identity.token ?? this.token
      this.mark = identity.mark
      this.#record("identity", { mark: this.mark })
    })
    listen(room, "state", () => this.#record("state", { state: room.state }))
    listen(room.outbox, "change", ({ id, not_before, state, reason }) => {
      if (state === "failed") this.#record("fail", { id, reason })
      else if (not_before !== undefined) this.#record("limited", { id })
    })
    listen(room.outbox, "sent", ({ item, answer }) => {
      this.#record("ok", { id: item.id, seq: answer.seq, rev: answer.seq })
      // A message is reported as sent twice when its row arrives before the answer.
      if (!this.#knownSeqs.has(answer.seq)) this.#ownSeqs.push(answer.seq)
      this.#knownSeqs.add(answer.seq)
    })
    listen(this.timeline, "reset", () => this.#recordReset())
    listen(this.timeline, "deleted", (seqs) => {
      this.#ownSeqs = this.#ownSeqs.filter((seq) => !seqs.includes(seq))
    })
    listen(this.timeline, "change", (updates) => {
      const type = this.#isReadingBack ? "read_back" : "show"
      for (const { row } of updates) {
        if (row) this.#record(type, { row: rowRecord(row) })
      }
    })
  }

  #recordReset() {
    const { epoch, rows } = this.timeline
    this.#record("reset", { epoch, rows: rows.map(rowRecord) })
    if (epoch !== this.#epoch) this.#forgetOwnMessages()
    this.#epoch = epoch
  }

  /** Another history of the room has begun: nothing in it is known yet. */
  #forgetOwnMessages() {
    this.#ownSeqs = []
    this.#reactions.clear()
  }

  #record(type, fields) {
    history.record(this.name, type, fields)
  }

  /** Sends requests until the end. */
  async sendRequests() {
    const pauseMs = (plan.senders * 1000) / plan.rate
    while (!isFinished) {
      await sleep(pauseMs * (0.5 + this.random()))
      if (maySend && !isFinished && !this.isOut) await this.#sendOne()
    }
  }

  /** Whether the server does not let this person into the room; the page says why. */
  get isOut() {
    return this.room.state === "closed"
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
    if (!item) return
    const { id, message } = item
    this.#record("invoke", { action: "chat", id, message, mark: this.mark })
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
      if (this.isOut) {
        this.#isChanging = false
        return false
      }
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
    if (this.isOut) {
      this.#record("out", { reason: this.room.refusalReason })
      return
    }
    this.#isReadingBack = true
    const unsent = this.timeline.pendingMessages.filter(({ state }) => state !== "failed")
    const pending = unsent.map(({ id }) => id)
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
      transports: entryInTurn(plan.transports, number) ?? ["websocket"],
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
    const message = `${this.name} posts ${this.#postCount}.`
    const connection = this.#connectionCount
    history.record(this.name, "invoke", { action: "chat", id, message, connection })
    const answer = await this.socket
      .timeout(BOT_ANSWER_MS)
      .emitWithAck("chat", { handle: this.name, message, id })
      .catch(() => null)
    if (answer?.ok) history.record(this.name, "ok", { id, seq: answer.seq, rev: answer.seq })
    else if (answer) history.record(this.name, "refused", { event: "chat", code: answer.code })
  }

  has(id) {
    return this.#lastId === id
  }
}

/** Returns the page clients that the server lets into their room. */
function presentClients() {
  return pageClients.filter((client) => !client.isOut)
}

/** Returns the highest change that a page client in a room has applied. */
function highestApplied(label) {
  const inRoom = pageClients.filter((client) => client.label === label)
  return Math.max(...inRoom.map(({ timeline }) => timeline.applied))
}

function haveConverged() {
  return presentClients().every((client) => {
    return client.isComplete && client.timeline.applied === highestApplied(client.label)
  })
}

/** Waits until nothing has been missing for so long that the reconciler would have found it. */
async function converge() {
  const end = performance.now() + plan.converge_seconds * 1000 + STABLE_MS
  while (performance.now() < end) {
    const converged = await waitUntil(haveConverged, end - performance.now())
    if (!converged) return
    const diverged = await waitUntil(() => !haveConverged(), STABLE_MS)
    if (!diverged) return
  }
}

const haveReceived = (id) =>
  [...presentClients(), ...bots].every((client) => client.has(`${id}-${client.label}`))
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
  const [order, ...words] = line.split(" ")
  const argument = words.join(" ")
  if (order === "reload") {
    await pageClients.find(({ name }) => name === argument).reload()
    console.log("done")
    continue
  }
  history.record("", order)
  maySend = order === "send"
  if (order === "finish") break
  if (order === "converge") await converge()
  if (order === "probe") await waitUntil(() => haveReceived(argument), PROBE_MS)
  if (order === "report") for (const client of pageClients) await client.readBack()
  if (["converge", "probe", "report"].includes(order)) console.log("done")
}
isFinished = true
history.flush()
process.exit()

// The clients of tests/room_load.py: some post, all receive. In the end, what each has sent and
// received is written to a file as JSON.
//
// Usage: node room_load.mjs '{"urls": [...], "label": "...", "senders": 8, "listeners": 2,
//                         "seconds": 30, "pause_ms": 20, "quiet_seconds": 2, "report": "path"}'

import { randomBytes } from "node:crypto"
import { writeFileSync } from "node:fs"
import { io } from "socket.io-client"

const ACK_TIMEOUT_MS = 8_000
const SOCKET_OPTIONS = {
  forceNew: true,
  transports: ["websocket"],
  reconnectionDelay: 200,
  reconnectionDelayMax: 1_000,
  timeout: 3_000,
}
const REJOIN_DELAY_MS = 500
const RETRY_DELAY_MS = 300
const MAX_RETRY_DELAY_MS = 500
const DISCONNECTED_RETRY_DELAY_MS = 100
const EXTRA_SECONDS = 60
const MAX_PLAUSIBLE_DELAY_MS = 1e7

const plan = { listeners: 0, pause_ms: 0, quiet_seconds: 2, ...JSON.parse(process.argv[2]) }
const endsAt = Date.now() + plan.seconds * 1000

function sleep(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

/** The server refused a message for good. */
class Refused extends Error {}

class Client {
  /** For each connection, the `rev` of every live event, in the order of arrival. */
  liveRevs = []
  /** Every message, received live or by a request: seq → [rev, message]. */
  messages = new Map()
  /** How often each message was broadcast as `chat`: "connection/seq" → times. */
  broadcastCounts = new Map()
  /** The acknowledged messages of this client, as [seq, message]. */
  acknowledged = []
  /** For each message, [time of its arrival, its delay], in milliseconds. */
  delays = []
  /** The times of all connects, in milliseconds since 1970. */
  connectTimes = []
  joined = false
  applied = 0

  constructor(number) {
    this.number = number
    this.socket = io(plan.urls[number % plan.urls.length], SOCKET_OPTIONS)
    this.socket.on("connect", () => this.onConnect())
    this.socket.on("chat", (message) => this.onChat(message))
    this.socket.on("change", (message) => this.onLiveEvent(message))
    this.socket.on("head", ({ head }) => {
      if (head > this.applied) this.catchUp()
    })
  }

  async ask(event, data) {
    return this.socket.timeout(ACK_TIMEOUT_MS).emitWithAck(event, data)
  }

  async onConnect() {
    this.liveRevs.push([])
    this.connectTimes.push(Date.now())
    await this.join()
  }

  async join() {
    const request = { label: plan.label }
    if (this.joined) request.after = this.applied
    try {
      const answer = await this.ask("join", request)
      if (!answer.ok) {
        await sleep(REJOIN_DELAY_MS)
        if (this.socket.connected) await this.join()
        return
      }
      this.joined = true
      this.merge(answer)
      await this.catchUp(answer)
    } catch {
      // The connection was lost: the next `connect` joins again.
    }
  }

  /** Request missed changes until the client is complete. By default, request at least once. */
  async catchUp(answer = { upto: 0, head: 1 }) {
    try {
      while (answer.upto < answer.head) {
        answer = await this.ask("since", { after: this.applied })
        if (!answer.ok) return
        this.merge(answer)
      }
    } catch {
      // The next `head` or `connect` requests the changes again.
    }
  }

  merge({ messages, upto }) {
    for (const message of messages) this.keep(message)
    this.applied = Math.max(this.applied, upto)
  }

  onChat(message) {
    // A new connection may receive a message again, so each connection is counted separately.
    const key = `${this.liveRevs.length}/${message.seq}`
    this.broadcastCounts.set(key, (this.broadcastCounts.get(key) ?? 0) + 1)
    this.onLiveEvent(message)
  }

  onLiveEvent(message) {
    this.liveRevs.at(-1).push(message.rev)
    if (message.rev === this.applied + 1) this.applied = message.rev
    this.keep(message)
  }

  keep(message) {
    const known = this.messages.get(message.seq)
    if (known !== undefined && known[0] >= message.rev) return
    if (known === undefined) this.noteDelay(message)
    this.messages.set(message.seq, [message.rev, message.message])
  }

  /** The text of a message from this file ends with the time when it was sent; others are ignored. */
  noteDelay(message) {
    const sentAt = Number(message.message.split(" ")[1])
    const delay = Date.now() - sentAt
    if (delay < MAX_PLAUSIBLE_DELAY_MS) this.delays.push([Date.now(), delay])
  }

  async postUntilTheEnd() {
    for (let number = 0; Date.now() < endsAt; number++) {
      await this.post({
        handle: `person ${this.number}`,
        id: randomBytes(12).toString("base64url"),
        message: `${this.number}/${number} ${Date.now()}`,
      })
      await sleep(plan.pause_ms * (0.5 + Math.random()))
    }
  }

  /** Send a message until it is acknowledged. */
  async post(posted) {
    for (;;) {
      try {
        if (await this.tryToPost(posted)) return
      } catch (error) {
        if (error instanceof Refused) throw error
        await sleep(DISCONNECTED_RETRY_DELAY_MS)
      }
    }
  }

  async tryToPost(posted) {
    if (!this.socket.connected || !this.joined) throw new Error("not connected")
    const answer = await this.ask("chat", posted)
    if (answer.ok) {
      this.acknowledged.push([answer.seq, posted.message])
      return true
    }
    if (!answer.retry && answer.code !== "not_joined") throw new Refused(answer.code)
    await sleep(Math.min(answer.retry_after_ms ?? RETRY_DELAY_MS, MAX_RETRY_DELAY_MS))
    return false
  }

  report() {
    return {
      live_revs: this.liveRevs,
      acknowledged: this.acknowledged,
      messages: [...this.messages].sort(([a], [b]) => a - b),
      broadcast_counts: [...this.broadcastCounts],
      delays: this.delays,
      connect_times: this.connectTimes,
    }
  }
}

const tooLate = setTimeout(() => process.exit(1), (plan.seconds + EXTRA_SECONDS) * 1000)
tooLate.unref()
const clients = []
for (let number = 0; number < plan.senders + plan.listeners; number++) {
  clients.push(new Client(number))
}
while (!clients.every((client) => client.joined)) await sleep(20)
console.log(JSON.stringify({ ready: true }))
await Promise.all(clients.slice(0, plan.senders).map((client) => client.postUntilTheEnd()))
await sleep(plan.quiet_seconds * 1000)
for (const client of clients) client.socket.disconnect()
writeFileSync(plan.report, JSON.stringify(clients.map((client) => client.report())))
process.exit()

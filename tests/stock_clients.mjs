// Unmodified socket.io-client connections, driven by tests/stock_clients.py: commands and reports
// are lines of JSON.

import { createInterface } from "node:readline"
import { io } from "socket.io-client"

const ACK_TIMEOUT_MS = 15_000
const PROBE_TIMEOUT_MS = 3_500
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

/** A client that keeps its copy of a room complete, as docs/protocol.md describes it. */
class StockClient {
  applied = 0
  joined = false
  connects = 0
  connectSeconds = null
  answers = 0
  disconnects = []
  errors = []
  /** Rows by `seq`, each replaced only by a higher `rev`. */
  rows = new Map()
  /** How often each `seq` was broadcast to this client. */
  broadcasts = new Map()

  constructor({ url, label, options }) {
    this.label = label
    const startedAt = performance.now()
    this.socket = io(url, { forceNew: true, ...options })
    this.socket.once("connect", () => {
      this.connectSeconds = (performance.now() - startedAt) / 1000
    })
    this.socket.on("connect", () => this.enter())
    this.socket.on("disconnect", (reason) => this.disconnects.push(reason))
    this.socket.on("connect_error", (error) => this.errors.push(error.message))
    this.socket.on("chat", (message) => {
      this.broadcasts.set(message.seq, (this.broadcasts.get(message.seq) ?? 0) + 1)
      this.keep(message)
    })
    this.socket.on("change", (message) => this.keep(message))
  }

  async enter() {
    this.connects += 1
    this.joined = false
    try {
      const request = { label: this.label }
      if (this.applied > 0) request.after = this.applied
      let answer = await this.ask("join", request)
      this.merge(answer)
      while (answer.upto < answer.head) {
        answer = await this.ask("since", { after: answer.upto })
        this.merge(answer)
      }
      this.joined = true
    } catch {
      // The connection was lost meanwhile: the next `connect` joins again.
    }
  }

  async ask(event, data, timeoutMs = ACK_TIMEOUT_MS) {
    const answer = await this.socket.timeout(timeoutMs).emitWithAck(event, data)
    if (!answer.ok) throw new Error(answer.code)
    return answer
  }

  /** Send a request on this connection and count the answer. */
  async probe() {
    await this.ask("since", { after: this.applied }, PROBE_TIMEOUT_MS)
    this.answers += 1
  }

  merge({ messages, upto }) {
    for (const message of messages) this.keep(message)
    this.applied = Math.max(this.applied, upto)
  }

  keep(message) {
    const known = this.rows.get(message.seq)
    if (known === undefined || known.rev < message.rev) this.rows.set(message.seq, message)
    if (message.rev === this.applied + 1) this.applied = message.rev
  }

  report() {
    const { applied, joined, connects, answers, disconnects, errors, rows, broadcasts, socket } =
      this
    return {
      applied,
      joined,
      connects,
      answers,
      disconnects,
      errors,
      connect_seconds: this.connectSeconds,
      connected: socket.connected,
      transport: socket.io.engine?.transport?.name ?? null,
      messages: [...rows.values()].map(({ message }) => message),
      broadcasts: [...broadcasts],
    }
  }
}

const clients = []

const orders = {
  async connect({ count, seconds, ...plan }) {
    for (let number = 0; number < count; number++) {
      clients.push(new StockClient(plan))
      if (seconds > 0) await sleep((seconds * 1000) / count)
    }
  },

  probe() {
    // The report shows when an answer is missing.
    for (const client of clients) client.probe().catch(() => {})
  },

  report() {
    process.stdout.write(`${JSON.stringify(clients.map((client) => client.report()))}\n`)
  },
}

for await (const line of createInterface({ input: process.stdin })) {
  const { order, ...details } = JSON.parse(line)
  orders[order](details)
}
process.exit()

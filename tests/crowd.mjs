// A crowd in one room: some talk, all listen; what each saw is reported in a file of JSON at the end.
// Usage: node crowd.mjs '{"urls": [...], "label": "...", "senders": 8, "listeners": 2, "seconds": 30, "pause_ms": 20, "report": "..."}'

import { randomBytes } from "node:crypto"
import { writeFileSync } from "node:fs"
import { io } from "socket.io-client"

const PATIENCE_MS = 8_000
const plan = { listeners: 0, pause_ms: 0, quiet_seconds: 2, ...JSON.parse(process.argv[2]) }
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
const ending = Date.now() + plan.seconds * 1000

class Person {
  /** Told live, connection by connection: the numbers as they came over the wire. */
  wires = []
  /** Every message known, told or read: seq → [rev, message]. */
  known = new Map()
  told = new Map()
  acked = []
  worst = 0
  applied = 0
  connects = []

  constructor(number) {
    this.number = number
    this.socket = io(plan.urls[number % plan.urls.length], {
      forceNew: true,
      transports: ["websocket"],
      reconnectionDelay: 200,
      reconnectionDelayMax: 1000,
      timeout: 3000,
    })
    this.socket.on("connect", () => this.enter())
    for (const event of ["chat", "change"])
      this.socket.on(event, (message) => this.hear(event, message))
    this.socket.on("head", ({ head }) => head > this.applied && this.catchUp())
  }

  async ask(event, data) {
    return this.socket.timeout(PATIENCE_MS).emitWithAck(event, data)
  }

  async enter() {
    this.wires.push([])
    this.connects.push(Date.now())
    await this.enterAgain()
  }

  async enterAgain() {
    try {
      const answer = await this.ask(
        "join",
        this.joined ? { label: plan.label, after: this.applied } : { label: plan.label },
      )
      if (!answer.ok) {
        await sleep(500)
        return this.socket.connected && this.enterAgain()
      }
      this.joined = true
      this.read(answer)
      await this.catchUp(answer)
    } catch {
      /* the connection ended: it comes again */
    }
  }

  async catchUp(answer = { upto: 0, head: 1 }) {
    try {
      while (answer.upto < answer.head) {
        answer = await this.ask("since", { after: this.applied })
        if (!answer.ok) return
        this.read(answer)
      }
    } catch {
      /* the next head or connection asks again */
    }
  }

  read({ messages, upto }) {
    for (const message of messages) this.keep(message)
    this.applied = Math.max(this.applied, upto)
  }

  hear(event, message) {
    this.wires.at(-1).push(message.rev)
    const said = `${this.wires.length}/${message.seq}` // once on each connection
    if (event === "chat") this.told.set(said, (this.told.get(said) ?? 0) + 1)
    if (message.rev === this.applied + 1) this.applied = message.rev
    this.keep(message)
  }

  keep(message) {
    const before = this.known.get(message.seq)
    if (before && before[0] >= message.rev) return
    if (!before) {
      const late = Date.now() - Number(message.message.split(" ")[1])
      if (late < 1e7) this.delays.push([Date.now(), late])
    }
    this.known.set(message.seq, [message.rev, message.message])
  }

  delays = []

  async talk() {
    for (let number = 0; Date.now() < ending; number++) {
      const said = { handle: `person ${this.number}`, id: randomBytes(12).toString("base64url") }
      said.message = `${this.number}/${number} ${Date.now()}`
      await this.say(said)
      await sleep(plan.pause_ms * (0.5 + Math.random()))
    }
  }

  async say(said) {
    for (;;) {
      try {
        if (!this.socket.connected || !this.joined) throw new Error("not now")
        const answer = await this.ask("chat", said)
        if (answer.ok) return void this.acked.push([answer.seq, said.message])
        if (!answer.retry && answer.code !== "not_joined")
          throw Object.assign(new Error(answer.code), { final: true })
        await sleep(Math.min(answer.retry_after_ms ?? 300, 500))
      } catch (error) {
        if (error.final) throw error
        await sleep(100)
      }
    }
  }
}

setTimeout(() => process.exit(1), (plan.seconds + 60) * 1000).unref() // nobody waits for ever
const people = Array.from(
  { length: plan.senders + plan.listeners },
  (_, number) => new Person(number),
)
while (!people.every((person) => person.joined)) await sleep(20)
console.log(JSON.stringify({ ready: true }))
await Promise.all(people.slice(0, plan.senders).map((person) => person.talk()))
await sleep(plan.quiet_seconds * 1000)
for (const person of people) person.socket.disconnect()
writeFileSync(
  plan.report,
  JSON.stringify(
    people.map(({ wires, known, told, acked, delays, connects }) => ({
      wires,
      acked,
      delays,
      connects,
      known: [...known].sort(([a], [b]) => a - b),
      told: [...told],
    })),
  ),
)
process.exit()

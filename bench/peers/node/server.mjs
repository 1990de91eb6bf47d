// The chat of Node socket.io with better-sqlite3: plain, or with TUNED set storing all that one tick brings in one transaction.
import { createServer } from "node:http"
import Database from "better-sqlite3"
import { Server } from "socket.io"

const { DATABASE, PORT, REDIS_URL, TUNED } = process.env

const db = new Database(DATABASE)
for (const pragma of ["journal_mode = WAL", "synchronous = NORMAL", "busy_timeout = 5000"]) db.pragma(pragma)
db.exec(`CREATE TABLE IF NOT EXISTS messages (id INTEGER PRIMARY KEY, room TEXT NOT NULL, handle TEXT NOT NULL,
  message TEXT NOT NULL, timestamp TEXT NOT NULL); CREATE INDEX IF NOT EXISTS by_room ON messages(room)`)
const insert = db.prepare("INSERT INTO messages (room, handle, message, timestamp) VALUES (?, ?, ?, ?)")

const http = createServer((_request, response) => response.end("ok"))
const io = new Server(http)
if (REDIS_URL) await listenToTheOthers()

async function listenToTheOthers() {
  const { createClient } = await import("redis")
  const { createAdapter } = await import("@socket.io/redis-adapter")
  const out = createClient({ url: REDIS_URL })
  const back = out.duplicate()
  await Promise.all([out.connect(), back.connect()])
  io.adapter(createAdapter(out, back))
}

const isText = (value, atMost) => typeof value === "string" && value.length > 0 && value.length <= atMost

function store(said) {
  said.timestamp = new Date().toISOString()
  said.rev = Number(insert.run(said.room, said.handle, said.message, said.timestamp).lastInsertRowid)
}

function tell({ room, rev, handle, message, timestamp, answer }) {
  io.to(room).emit("chat", { label: room, rev, handle, message, timestamp })
  answer?.({ ok: true, rev })
}

const storeAll = db.transaction((batch) => batch.forEach(store)).immediate
let waiting = []

function flush() {
  const batch = waiting
  waiting = []
  storeAll(batch)
  batch.forEach(tell)
}

function atOnce(said) {
  store(said)
  tell(said)
}

function withTheTick(said) {
  if (waiting.push(said) === 1) setImmediate(flush)
}

const take = TUNED ? withTheTick : atOnce

io.on("connection", (socket) => {
  socket.on("join", ({ label }, answer) => {
    socket.data.room = String(label).slice(0, 50)
    socket.join(socket.data.room)
    answer?.({ ok: true })
  })
  socket.on("chat", (data, answer) => {
    const { room } = socket.data
    if (!room || !isText(data?.handle, 64) || !isText(data.message, 4000)) return answer?.({ ok: false })
    take({ room, handle: data.handle, message: data.message, answer })
  })
})

http.listen({ port: Number(PORT), host: "127.0.0.1", backlog: 4096 })

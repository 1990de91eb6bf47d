// A chat with Node's socket.io and better-sqlite3. With TUNED, the messages of one iteration of the event loop are
// stored in one transaction.
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
if (REDIS_URL) await connectToRedis()

async function connectToRedis() {
  const { createClient } = await import("redis")
  const { createAdapter } = await import("@socket.io/redis-adapter")
  const publisher = createClient({ url: REDIS_URL })
  const subscriber = publisher.duplicate()
  await Promise.all([publisher.connect(), subscriber.connect()])
  io.adapter(createAdapter(publisher, subscriber))
}

const isText = (value, maxLength) => typeof value === "string" && value.length > 0 && value.length <= maxLength

function store(message) {
  message.timestamp = new Date().toISOString()
  message.rev = Number(insert.run(message.room, message.handle, message.message, message.timestamp).lastInsertRowid)
}

function broadcast({ room, rev, handle, message, timestamp, answer }) {
  io.to(room).emit("chat", { label: room, rev, handle, message, timestamp })
  answer?.({ ok: true, rev })
}

const storeAll = db.transaction((batch) => batch.forEach(store)).immediate
let pending = []

function flush() {
  const batch = pending
  pending = []
  storeAll(batch)
  batch.forEach(broadcast)
}

function postImmediately(message) {
  store(message)
  broadcast(message)
}

function postInBatch(message) {
  if (pending.push(message) === 1) setImmediate(flush)
}

const post = TUNED ? postInBatch : postImmediately

io.on("connection", (socket) => {
  socket.on("join", ({ label }, answer) => {
    socket.data.room = String(label).slice(0, 50)
    socket.join(socket.data.room)
    answer?.({ ok: true })
  })
  socket.on("chat", (data, answer) => {
    const { room } = socket.data
    if (!room || !isText(data?.handle, 64) || !isText(data.message, 4000)) return answer?.({ ok: false })
    post({ room, handle: data.handle, message: data.message, answer })
  })
})

http.listen({ port: Number(PORT), host: "127.0.0.1", backlog: 4096 })

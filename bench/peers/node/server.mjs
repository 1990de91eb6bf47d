// A chat with Node's socket.io that stores messages in SQLite, or with DATABASE_URL in PostgreSQL. With TUNED, messages
// that arrive together are stored in one transaction.
import { createServer } from "node:http"
import { Server } from "socket.io"

const { DATABASE, DATABASE_URL, PORT, REDIS_URL, TUNED } = process.env

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

function broadcast({ room, rev, handle, message, timestamp, answer }) {
  io.to(room).emit("chat", { label: room, rev, handle, message, timestamp })
  answer?.({ ok: true, rev })
}

async function openDatabase() {
  if (DATABASE_URL) {
    const { openPostgres } = await import("./postgres.mjs")
    return openPostgres(DATABASE_URL, broadcast)
  }
  const { openSqlite } = await import("./sqlite.mjs")
  return openSqlite(DATABASE, broadcast)
}

const { postImmediately, postInBatch } = await openDatabase()
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

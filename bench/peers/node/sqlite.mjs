// Stores messages in SQLite with better-sqlite3, which blocks the event loop meanwhile.
import Database from "better-sqlite3"

export function openSqlite(path, broadcast) {
  const db = new Database(path)
  for (const pragma of ["journal_mode = WAL", "synchronous = NORMAL", "busy_timeout = 5000"]) db.pragma(pragma)
  db.exec(`CREATE TABLE IF NOT EXISTS messages (id INTEGER PRIMARY KEY, room TEXT NOT NULL, handle TEXT NOT NULL,
    message TEXT NOT NULL, timestamp TEXT NOT NULL); CREATE INDEX IF NOT EXISTS by_room ON messages(room)`)
  const insert = db.prepare("INSERT INTO messages (room, handle, message, timestamp) VALUES (?, ?, ?, ?)")

  function store(message) {
    message.timestamp = new Date().toISOString()
    message.rev = Number(insert.run(message.room, message.handle, message.message, message.timestamp).lastInsertRowid)
  }

  function postImmediately(message) {
    store(message)
    broadcast(message)
  }

  const storeAll = db.transaction((batch) => batch.forEach(store)).immediate
  let pending = []

  // The messages of one iteration of the event loop are stored in one transaction.
  function flush() {
    const batch = pending
    pending = []
    storeAll(batch)
    batch.forEach(broadcast)
  }

  function postInBatch(message) {
    if (pending.push(message) === 1) setImmediate(flush)
  }

  return { postImmediately, postInBatch }
}

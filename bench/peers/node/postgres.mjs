// Stores messages in PostgreSQL with pg.
import pg from "pg"

const CREATE = `CREATE TABLE IF NOT EXISTS messages (id SERIAL PRIMARY KEY, room TEXT NOT NULL, handle TEXT NOT NULL,
  message TEXT NOT NULL, timestamp TIMESTAMPTZ NOT NULL); CREATE INDEX IF NOT EXISTS by_room ON messages(room)`
const COLUMNS = "(room, handle, message, timestamp)"

// pg sends these as prepared statements, because they have a name.
const INSERT = {
  name: "insert",
  text: `INSERT INTO messages ${COLUMNS} VALUES ($1, $2, $3, $4) RETURNING id`,
}
const INSERT_ALL = {
  name: "insert all",
  text: `INSERT INTO messages ${COLUMNS}
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[]) RETURNING id`,
}

export async function openPostgres(url, broadcast) {
  const pool = new pg.Pool({ connectionString: url, idleTimeoutMillis: 0 }) // keeps its connections
  await pool.query(CREATE)

  async function postImmediately(message) {
    message.timestamp = new Date().toISOString()
    const values = [message.room, message.handle, message.message, message.timestamp]
    const { rows } = await pool.query({ ...INSERT, values })
    message.rev = rows[0].id
    broadcast(message)
  }

  let pending = []
  let isStoring = false

  // Messages that arrive while others are being stored are the next transaction.
  async function storePending() {
    while (pending.length > 0) {
      const batch = pending
      pending = []
      await storeAll(batch)
      batch.forEach(broadcast)
    }
    isStoring = false
  }

  async function storeAll(batch) {
    const timestamp = new Date().toISOString()
    for (const message of batch) message.timestamp = timestamp
    const values = ["room", "handle", "message", "timestamp"].map((name) => batch.map((message) => message[name]))
    const { rows } = await pool.query({ ...INSERT_ALL, values })
    rows.forEach(({ id }, index) => (batch[index].rev = id))
  }

  function postInBatch(message) {
    pending.push(message)
    if (isStoring) return
    isStoring = true
    setImmediate(storePending)
  }

  return { postImmediately, postInBatch }
}

// The real socket.io-client, driven by tests/clients.py: commands and reports are lines of JSON.

import { createInterface } from "node:readline"
import { io } from "socket.io-client"

const sockets = new Map()
const FAST_RECONNECTION = { reconnectionDelay: 50, reconnectionDelayMax: 200 }

function report(line) {
  process.stdout.write(`${JSON.stringify(line)}\n`)
}

const orders = {
  open({ who, url, options }) {
    const socket = io(url, { forceNew: true, ...FAST_RECONNECTION, ...options })
    sockets.set(who, socket)
    const reportState = (state, detail = "") => report({ who, state, detail })
    socket.io.on("open", () => {
      const { engine } = socket.io
      reportState("open", engine.transport.name)
      engine.on("upgrade", ({ name }) => reportState("upgrade", name))
    })
    socket.on("connect", () => reportState("connect"))
    socket.on("disconnect", (reason) => reportState("disconnect", reason))
    socket.on("connect_error", (error) => reportState("connect_error", error.message))
    socket.onAny((event, ...data) => report({ who, event, data }))
  },

  emit({ who, call, event, data }) {
    sockets.get(who).emit(event, ...data, (answer) => report({ who, call, answer }))
  },

  stayAway({ who }) {
    sockets.get(who).io.reconnection(false)
  },

  close({ who }) {
    sockets.get(who)?.disconnect()
    sockets.delete(who)
  },
}

for await (const line of createInterface({ input: process.stdin })) {
  const order = JSON.parse(line)
  orders[order.order](order)
}
process.exit()

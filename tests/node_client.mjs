// The real socket.io-client, driven by the tests in Python: orders come as lines of JSON, reports go as lines of JSON.

import { createInterface } from "node:readline"
import { io } from "socket.io-client"

const sockets = new Map()
const report = (line) => process.stdout.write(`${JSON.stringify(line)}\n`)

const orders = {
  open({ who, url, options }) {
    const socket = io(url, {
      forceNew: true,
      reconnectionDelay: 50,
      reconnectionDelayMax: 200,
      ...options,
    })
    const tell = (state, detail = "") => report({ who, state, detail })
    sockets.set(who, socket)
    socket.io.on("open", () => {
      tell("open", socket.io.engine.transport.name)
      socket.io.engine.on("upgrade", ({ name }) => tell("upgrade", name))
    })
    socket.on("connect", () => tell("connect"))
    socket.on("disconnect", (reason) => tell("disconnect", reason))
    socket.on("connect_error", (error) => tell("connect_error", error.message))
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

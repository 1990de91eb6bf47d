// A client as it was written for Confab 0.1.0. It must work with every later version, so do not change it.
//
// Usage: node 0.1.0.mjs URL LABEL HANDLE TEXT...
// It joins the room, posts each text, leaves, joins again, catches up with `since`, and prints one line of JSON.

import { io } from "socket.io-client"

const [url, label, handle, ...texts] = process.argv.slice(2)
const socket = io(url, { transports: ["websocket"] })
const broadcasts = []

socket.on("chat", (message) => broadcasts.push(message))
await new Promise((resolve) => socket.once("connect", resolve))

function request(event, payload) {
  return socket.timeout(10_000).emitWithAck(event, payload)
}

async function catchUp(answer) {
  const rows = []
  let page = answer
  rows.push(...page.messages)
  while (page.upto < page.head) {
    page = await request("since", { after: page.upto, limit: 1 })
    rows.push(...page.messages)
  }
  return { rows, upto: page.upto, epoch: page.epoch }
}

const joined = await request("join", { label })
const before = await catchUp(joined)
const posted = []
for (const [number, message] of texts.entries()) {
  const id = `release-0-1-0-${handle}-${number}`
  posted.push(await request("chat", { handle, message, id }))
}
const repeated = await request("chat", {
  handle,
  message: texts[0],
  id: `release-0-1-0-${handle}-0`,
})
const refused = await request("chat", { handle, message: " " })
await request("leave", {})
const rejoined = await request("join", { label, after: before.upto })
const missed = await catchUp(await request("since", { after: before.upto, limit: 1 }))
const history = await request("history", { limit: 50 })

const report = { joined, before, posted, repeated, refused, rejoined, missed, history, broadcasts }
process.stdout.write(`${JSON.stringify(report)}\n`)
socket.disconnect()

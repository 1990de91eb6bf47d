// The outbox: sends once and in order, retries, survives reloads, and is shared by tabs.

import assert from "node:assert/strict"
import { beforeEach, test } from "node:test"

import { Refused, Unreachable } from "../../static/js/lib/errors.js"
import { electWithLease, electWithLock } from "../../static/js/state/leader_election.js"
import { MAX_OUTBOX_ITEMS, Outbox } from "../../static/js/state/outbox.js"
import { OutboxStore } from "../../static/js/state/outbox_store.js"
import { FakeClock, FakeLocks, FakeStorage, flushPromises, row } from "./fakes.mjs"

const DAY_MS = 24 * 3600 * 1000

let clock
let locks
let storage
let outbox
let sent
let changes
/** What the server does with an item. */
let answer

beforeEach(() => {
  clock = new FakeClock()
  locks = new FakeLocks()
  storage = new FakeStorage()
  sent = []
  changes = []
  answer = async () => stored(1)
  outbox = openTab()
  outbox.addEventListener("change", ({ detail }) => changes.push(detail))
})

/** Opens the room in another tab of the same browser. */
function openTab({
  elect = electWithLock("kitchen", locks),
  send = sendAndRecord,
  getServerTime,
} = {}) {
  const store = new OutboxStore("kitchen", storage.openTab())
  return new Outbox({ clock, elect, send, store, getServerTime })
}

function sendAndRecord(item) {
  sent.push(item)
  return answer(item)
}

function leaseFor(tabId) {
  const { getStorage } = storage.openTab()
  return electWithLease("kitchen", { clock, getStorage, tabId })
}

const stored = (seq) => ({ seq, rev: seq, timestamp: row(seq).timestamp, head: seq })
const post = (message, tab = outbox) => tab.enqueue({ handle: "Ada", message })
const sentTexts = () => sent.map(({ message }) => message)
const storedTexts = () => [...storage.entries.values()].map((json) => JSON.parse(json).message)
const numbered = (count) => Array.from({ length: count }, (_, number) => `number ${number}`)

function refusal(changed) {
  return new Refused({ code: "busy", message: "Busy.", retry: true, ...changed })
}

function alwaysThrow(error) {
  return async () => {
    throw error
  }
}

test("a message that waits shows the time of the server", () => {
  const tab = openTab({ getServerTime: () => clock.now() - 120_000 })

  assert.equal(post("hello", tab).timestamp, "2026-11-22T08:58:00.000Z")
})

// Rate limits

test("a message above a rate limit waits, and is sent by itself with the same id", async () => {
  answer = alwaysThrow(
    refusal({ code: "rate_limited", message: "Too often.", retry_after_ms: 3000 }),
  )
  outbox.resume()
  const [first] = [post("first"), post("second")]
  await flushPromises()
  assert.equal(outbox.waitsUntil, clock.now() + 3000)
  assert.equal(outbox.queuedCount, 2)
  assert.equal(changes.at(-1).state, "queued")
  assert.equal(changes.at(-1).reason, undefined)
  answer = async () => stored(1)

  await clock.advance(2999)
  assert.deepEqual(sentTexts(), ["first"])
  await clock.advance(1)

  assert.deepEqual(sentTexts(), ["first", "first", "second"])
  assert.equal(sent[1].id, first.id)
  assert.equal(outbox.waitsUntil, 0)
})

test("slow mode delays a message like a rate limit, until it is turned off", async () => {
  answer = alwaysThrow(refusal({ code: "slow_mode", message: "Slowly.", retry_after_ms: 60_000 }))
  outbox.resume()
  post("first")
  await flushPromises()
  assert.equal(outbox.waitsUntil, clock.now() + 60_000)
  assert.equal(changes.at(-1).reason, undefined)
  answer = async () => stored(1)

  outbox.endWait()
  await flushPromises()

  assert.deepEqual(sentTexts(), ["first", "first"])
  assert.equal(outbox.queuedCount, 0)
})

test("slow mode that was turned off while its refusal was on the way delays nothing", async () => {
  let refuse
  answer = () =>
    new Promise((_, reject) => {
      refuse = reject
    })
  post("hello")
  outbox.resume()
  await flushPromises()
  outbox.endWait()
  answer = async () => stored(1)
  refuse(refusal({ code: "slow_mode", retry_after_ms: 300_000 }))
  await flushPromises()

  assert.deepEqual(sentTexts(), ["hello", "hello"])
  assert.equal(outbox.queuedCount, 0)
})

test("the end of slow mode ends no other limit", async () => {
  let refuse
  answer = () =>
    new Promise((_, reject) => {
      refuse = reject
    })
  post("hello")
  outbox.resume()
  await flushPromises()
  outbox.endWait()
  refuse(refusal({ code: "rate_limited", retry_after_ms: 5000 }))
  await flushPromises()

  assert.deepEqual(sentTexts(), ["hello"])
  assert.equal(outbox.waitsUntil, clock.now() + 5000)
})

test("a reconnect does not end the wait that a rate limit asks for", async () => {
  answer = alwaysThrow(refusal({ code: "rate_limited", retry_after_ms: 3000 }))
  outbox.resume()
  post("first")
  await flushPromises()
  outbox.pause()
  await clock.advance(1000)
  outbox.resume()
  await clock.advance(1999)

  assert.deepEqual(sentTexts(), ["first"])
  assert.equal(outbox.waitsUntil, clock.now() + 1)
})

test("a busy server is no rate limit: the message waits with a reason", async () => {
  answer = alwaysThrow(refusal({ retry_after_ms: 5000 }))
  outbox.resume()
  post("first")
  await flushPromises()
  assert.equal(changes.at(-1).reason, "Busy.")
  assert.equal(outbox.waitsUntil, 0)

  await clock.advance(4999)
  assert.deepEqual(sentTexts(), ["first"], "it waits all the same")
})

test("a rate limit after a busy server, and the reverse, show the latest answer", async () => {
  answer = alwaysThrow(refusal({ retry_after_ms: 5000 }))
  outbox.resume()
  post("first")
  await flushPromises()
  answer = alwaysThrow(refusal({ code: "rate_limited", retry_after_ms: 3000 }))
  await clock.advance(5000)
  assert.equal(outbox.waitsUntil, clock.now() + 3000)

  answer = alwaysThrow(refusal({ retry_after_ms: 5000 }))
  await clock.advance(3000)
  assert.equal(outbox.waitsUntil, 0)
})

test("changes wait like messages, but are not counted as such", () => {
  outbox.enqueue({ event: "edit", seq: 1, message: "better" })
  outbox.enqueue({ event: "react", seq: 1, emoji: "👍", on: true })
  post("hello")
  outbox.enqueue({ event: "delete", seq: 1 })

  assert.equal(outbox.queuedCount, 4)
  assert.equal(outbox.queuedMessageCount, 1)
})

// Order

test("forty messages are sent one at a time and in order", async () => {
  let openRequests = 0
  answer = async () => {
    openRequests += 1
    assert.equal(openRequests, 1)
    await flushPromises()
    openRequests -= 1
    return stored(1)
  }
  const texts = numbered(40)
  outbox.resume()
  for (const text of texts) post(text)
  for (let turn = 0; turn < 80; turn += 1) await flushPromises()

  assert.deepEqual(sentTexts(), texts)
  assert.equal(outbox.queuedCount, 0)
})

test("a message is shown before the server has answered", () => {
  answer = () => new Promise(() => {})
  const { id } = post("hello")

  assert.equal(changes.length, 1)
  assert.equal(changes[0].id, id)
  assert.equal(changes[0].state, "queued")
})

test("without a connection nothing is sent, and everything afterwards", async () => {
  post("one")
  post("two")
  await clock.advance(60_000)
  assert.deepEqual(sentTexts(), [])
  assert.equal(outbox.queuedCount, 2)

  outbox.resume()
  await flushPromises()
  assert.deepEqual(sentTexts(), ["one", "two"])
})

// Retries

test("without an answer the same message is sent again, with exponential back-off", async () => {
  answer = alwaysThrow(new Unreachable("no answer"))
  outbox.resume()
  post("hello")
  await flushPromises()
  const attempts = []
  for (const delayMs of [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]) {
    await clock.advance(delayMs - 1)
    attempts.push(sent.length)
    await clock.advance(1)
  }

  assert.deepEqual(attempts, [1, 2, 3, 4, 5, 6, 7])
  const ids = new Set(sent.map(({ id }) => id))
  assert.equal(ids.size, 1)
})

test("a new connection ends the back-off", async () => {
  answer = alwaysThrow(new Unreachable("connection lost"))
  outbox.resume()
  post("hello")
  await flushPromises()
  outbox.pause()
  answer = async () => stored(1)
  outbox.resume()
  await flushPromises()

  assert.deepEqual(sentTexts(), ["hello", "hello"])
  assert.equal(outbox.queuedCount, 0)
})

test("a rate limit delays all messages as long as the server asks", async () => {
  answer = alwaysThrow(refusal({ code: "rate_limited", retry_after_ms: 5000 }))
  outbox.resume()
  post("one")
  await flushPromises()
  answer = async () => stored(1)
  post("two")
  await clock.advance(4999)
  assert.deepEqual(sentTexts(), ["one"])
  assert.equal(changes[1].state, "queued")
  assert.equal(changes[1].reason, undefined, "it is no error of the message")

  await clock.advance(1)
  assert.deepEqual(sentTexts(), ["one", "one", "two"])
})

test("a refused message has a reason and does not delay the others", async () => {
  answer = async ({ message }) => {
    if (message !== "far too long") return stored(1)
    throw refusal({ code: "too_long", message: "Too long.", retry: false })
  }
  outbox.resume()
  post("far too long")
  post("short")
  await flushPromises()

  assert.deepEqual(sentTexts(), ["far too long", "short"])
  assert.equal(changes.at(-1).state, "failed")
  assert.equal(changes.at(-1).reason, "Too long.")
  assert.equal(outbox.queuedCount, 0)
})

test("a refused message is sent again with the same id", async () => {
  answer = alwaysThrow(refusal({ retry: false }))
  outbox.resume()
  const { id } = post("hello")
  await flushPromises()
  answer = async () => stored(1)
  outbox.retry(id)
  await flushPromises()

  assert.deepEqual(
    sent.map((item) => item.id),
    [id, id],
  )
  assert.equal(outbox.discard(id), undefined)
})

test("messages under a taken name are sent under the suggested one, in order", async () => {
  const taken = { code: "name_taken", message: "Taken.", retry: false, suggestion: "Ada 2" }
  answer = alwaysThrow(refusal(taken))
  outbox.resume()
  const [first] = [post("one"), post("two")]
  await flushPromises()
  assert.deepEqual(
    outbox.failedItems.map(({ reason, suggestion }) => [reason, suggestion]),
    [
      ["Taken.", "Ada 2"],
      ["Taken.", "Ada 2"],
    ],
  )

  answer = async () => stored(1)
  outbox.retryAs(first.handle, "Ada 2")
  await flushPromises()

  assert.deepEqual(
    sent.slice(2).map(({ handle, message }) => [handle, message]),
    [
      ["Ada 2", "one"],
      ["Ada 2", "two"],
    ],
  )
  assert.deepEqual(outbox.failedItems, [])
})

test("a refused message is discarded, and its text is returned", async () => {
  const removed = []
  answer = alwaysThrow(refusal({ retry: false }))
  outbox.addEventListener("removed", ({ detail }) => removed.push(detail))
  outbox.resume()
  const { id } = post("hello")
  await flushPromises()

  assert.equal(outbox.discard(id).message, "hello")
  assert.deepEqual(removed, [id])
})

test("a message that was not sent for a day fails, and can be retried", async () => {
  post("old")
  await clock.advance(DAY_MS)
  const reloaded = openTab()
  reloaded.addEventListener("change", ({ detail }) => changes.push(detail))
  reloaded.restore()
  reloaded.resume()
  await flushPromises()
  assert.deepEqual(sentTexts(), [])
  const failed = changes.at(-1)
  assert.equal(failed.message, "old")
  assert.equal(failed.state, "failed")
  assert.equal(failed.reason, "Couldn't send for 24 hours.")

  reloaded.retry(failed.id)
  await flushPromises()
  assert.deepEqual(sentTexts(), ["old"])
})

test("the event of a message confirms it without the answer", async () => {
  answer = () => new Promise(() => {})
  outbox.resume()
  const { id } = post("hello")
  await flushPromises()
  outbox.confirmStored((wanted) => (wanted === id ? row(1, { id }) : undefined))

  assert.equal(outbox.queuedCount, 0)
  assert.equal(storage.length, 0)
})

// Size

test("a full outbox takes no more messages", () => {
  for (const text of numbered(MAX_OUTBOX_ITEMS)) assert.ok(post(text))

  assert.equal(post("one too many"), null)
  assert.equal(outbox.queuedCount, MAX_OUTBOX_ITEMS)
})

test("a text in several parts is queued completely and in order, or not at all", async () => {
  const parts = ["one", "two", "three"].map((message) => ({ handle: "Ada", message }))
  for (const text of numbered(MAX_OUTBOX_ITEMS - 2)) post(text)

  assert.equal(outbox.enqueueAll(parts), null)
  assert.equal(outbox.queuedCount, MAX_OUTBOX_ITEMS - 2)
  assert.equal(storage.length, MAX_OUTBOX_ITEMS - 2)
  const queued = outbox.enqueueAll(parts.slice(0, 2))
  assert.deepEqual(
    queued.map(({ message }) => message),
    ["one", "two"],
  )
  assert.equal(outbox.enqueueAll(parts.slice(2)), null)

  outbox.resume()
  for (let turn = 0; turn < 120; turn += 1) await flushPromises()
  assert.deepEqual(sentTexts().slice(-2), ["one", "two"])
})

// Storage

test("a message is stored before it is sent, until it is answered", async () => {
  answer = async () => {
    assert.deepEqual(storedTexts(), ["hello"])
    return stored(1)
  }
  post("hello")
  assert.deepEqual(storedTexts(), ["hello"])

  outbox.resume()
  await flushPromises()
  assert.deepEqual(sentTexts(), ["hello"])
  assert.deepEqual(storedTexts(), [])
})

test("messages of an earlier page are sent first, with their ids", async () => {
  const { id } = post("yesterday")
  const reloaded = openTab()
  reloaded.restore()
  post("today", reloaded)
  reloaded.resume()
  await flushPromises()

  assert.deepEqual(sentTexts(), ["yesterday", "today"])
  assert.equal(sent[0].id, id)
})

// Entries exactly as version 0.1.0 wrote them before its scripts were restructured. Their format
// must not change: a message in an open tab has to survive an upgrade of the server.
const ENTRIES_OF_0_1_0 = {
  "confab:outbox:kitchen:3-D5zAQueVvRK1C0useqIg":
    '{"id":"3-D5zAQueVvRK1C0useqIg","handle":"Ada","message":"hello\\nagain",' +
    '"timestamp":"2026-11-22T09:00:00.000Z","at":1795338000000,"state":"queued"}',
  "confab:outbox:kitchen:sQjwsj17rY6b-nuW6imo5g":
    '{"id":"sQjwsj17rY6b-nuW6imo5g","handle":"","message":"better","event":"edit","seq":3,' +
    '"timestamp":"2026-11-22T09:00:00.000Z","at":1795338000002,"state":"queued"}',
  "confab:outbox:kitchen:-oWC8FgueF7MNnxlZrdgJw":
    '{"id":"-oWC8FgueF7MNnxlZrdgJw","handle":"Ada","message":"an answer","reply_to":7,' +
    '"timestamp":"2026-11-22T09:00:00.000Z","at":1795338000001,"state":"queued"}',
  "confab:outbox:kitchen:wHEUWVE-d2RsiWow28eqUQ":
    '{"id":"wHEUWVE-d2RsiWow28eqUQ","handle":"","message":"","event":"react","seq":3,' +
    '"emoji":"👍","on":true,"mark":"adaadaadaadaadaa",' +
    '"timestamp":"2026-11-22T09:00:00.000Z","at":1795338000003,"state":"queued"}',
}

test("messages that an earlier version has stored are restored and sent in order", async () => {
  for (const [key, json] of Object.entries(ENTRIES_OF_0_1_0)) storage.entries.set(key, json)
  const upgraded = openTab()
  upgraded.addEventListener("change", ({ detail }) => changes.push(detail))
  upgraded.restore()
  assert.equal(upgraded.queuedCount, 4)
  assert.equal(changes.length, 4)

  upgraded.resume()
  await flushPromises()
  const inOrder = [
    "3-D5zAQueVvRK1C0useqIg",
    "-oWC8FgueF7MNnxlZrdgJw",
    "sQjwsj17rY6b-nuW6imo5g",
    "wHEUWVE-d2RsiWow28eqUQ",
  ].map((id) => JSON.parse(ENTRIES_OF_0_1_0[`confab:outbox:kitchen:${id}`]))
  assert.deepEqual(sent, inOrder)
  assert.equal(upgraded.queuedCount, 0)
  assert.equal(storage.length, 0)
})

test("entries are stored in the format of version 0.1.0", () => {
  const { id } = post("hello\nagain")

  const [[key, json]] = storage.entries
  const [[oldKey, oldJson]] = Object.entries(ENTRIES_OF_0_1_0)
  const oldId = "3-D5zAQueVvRK1C0useqIg"
  assert.equal(key, oldKey.replace(oldId, id))
  assert.equal(json, oldJson.replace(oldId, id))
})

test("a message that was answered before the page crashed is not sent again", async () => {
  const { id } = post("hello")
  const key = `confab:outbox:kitchen:${id}`
  const item = JSON.parse(storage.getItem(key))
  storage.entries.set(key, JSON.stringify({ ...item, state: "sent", answer: stored(1) }))
  const reloaded = openTab()
  reloaded.restore()
  reloaded.resume()
  await flushPromises()

  assert.deepEqual(sentTexts(), [])
  assert.equal(storage.length, 0)
})

test("a reload does not skip the rate limit", async () => {
  answer = alwaysThrow(refusal({ code: "rate_limited", retry_after_ms: 5000 }))
  outbox.resume()
  post("hello")
  await flushPromises()
  outbox.pause()
  answer = async () => stored(1)
  const reloaded = openTab()
  reloaded.restore()
  reloaded.resume()
  await clock.advance(4999)
  assert.equal(sent.length, 1)

  await clock.advance(1)
  assert.equal(sent.length, 2)
})

test("with full storage a message is sent all the same, and the outbox says it is not saved", async () => {
  storage.isFull = true
  post("hello")
  assert.equal(outbox.isPersisted, false)
  assert.equal(outbox.queuedCount, 1)

  outbox.resume()
  await flushPromises()
  assert.deepEqual(sentTexts(), ["hello"])
  assert.equal(outbox.isPersisted, true)
})

test("without storage messages are sent too", async () => {
  const getStorage = () => {
    throw new Error("The operation is insecure.")
  }
  const store = new OutboxStore("kitchen", { getStorage, storageEvents: new EventTarget() })
  const elect = electWithLease("kitchen", { clock, getStorage, tabId: "ada" })
  outbox = new Outbox({ clock, elect, store, send: sendAndRecord })
  outbox.restore()
  post("hello")
  outbox.resume()
  await flushPromises()

  assert.deepEqual(sentTexts(), ["hello"])
})

test("invalid entries in storage are ignored", async () => {
  storage.entries.set("confab:outbox:kitchen:a", "{not json")
  storage.entries.set("confab:outbox:kitchen:b", '{"id": 7}')
  storage.entries.set("confab:outbox:kitchen:c", "null")
  storage.entries.set("confab:outbox:kitchen:d", "[1]")
  outbox.restore()
  outbox.resume()
  await flushPromises()

  assert.deepEqual(changes, [])
  assert.equal(outbox.queuedCount, 0)
})

// Several tabs

for (const [kind, electFor] of Object.entries({
  "the Web Locks API": () => electWithLock("kitchen", locks),
  "a lease": leaseFor,
})) {
  test(`with ${kind}, the messages of two tabs are sent once and in order`, async () => {
    let openRequests = 0
    answer = async () => {
      openRequests += 1
      assert.equal(openRequests, 1)
      await flushPromises()
      openRequests -= 1
      return stored(1)
    }
    const tabs = [openTab({ elect: electFor("one") }), openTab({ elect: electFor("two") })]
    const texts = numbered(10)
    for (const [index, text] of texts.entries()) {
      post(text, tabs[index % 2])
      await flushPromises()
    }
    for (const tab of tabs) assert.equal(tab.queuedCount, 10)

    for (const tab of tabs) tab.resume()
    for (let turn = 0; turn < 60; turn += 1) await clock.advance(100)

    assert.deepEqual(sentTexts(), texts)
    for (const tab of tabs) assert.equal(tab.queuedCount, 0)
    const keys = [...storage.entries.keys()]
    assert.deepEqual(
      keys.filter((key) => key.startsWith("confab:outbox:")),
      [],
    )
  })

  test(`with ${kind}, a tab without a working connection does not block the other`, async () => {
    const dead = openTab({ elect: electFor("one"), send: alwaysThrow(new Unreachable("timeout")) })
    const alive = openTab({ elect: electFor("two") })
    dead.resume()
    post("hello", dead)
    await flushPromises()
    alive.resume()
    await clock.advance(600)

    assert.deepEqual(sentTexts(), ["hello"])
    assert.equal(dead.queuedCount, 0)
  })
}

test("the messages of a tab, and what becomes of them, are shown in the other tabs", async () => {
  const events = []
  const other = openTab()
  other.addEventListener("change", ({ detail }) => {
    events.push(["change", detail.message, detail.state])
  })
  other.addEventListener("sent", ({ detail }) => {
    events.push(["sent", detail.item.message, detail.answer.seq])
  })
  other.addEventListener("removed", ({ detail }) => events.push(["removed", detail]))
  answer = async ({ message }) => {
    if (message === "no") throw refusal({ retry: false })
    return stored(7)
  }
  post("yes")
  const { id } = post("no")
  outbox.resume()
  await flushPromises()
  outbox.discard(id)
  await flushPromises()

  assert.deepEqual(events, [
    ["change", "yes", "queued"],
    ["change", "no", "queued"],
    ["sent", "yes", 7],
    ["change", "no", "failed"],
    ["removed", id],
  ])
})

test("an item was queued in the tab that has queued it, whichever tab sends it", async () => {
  answer = async () => {
    throw refusal({ retry: false })
  }
  const other = openTab()
  const { id } = post("no")
  await flushPromises()
  other.resume()
  await flushPromises()

  assert.equal(other.failedItems[0].id, id)
  assert.equal(other.isStored(id), true)
  assert.deepEqual(
    [outbox, other, openTab()].map((tab) => tab.wasQueuedHere(id)),
    [true, false, false],
  )
  outbox.discard(id)
  assert.equal(outbox.wasQueuedHere(id), false)
  assert.equal(other.isStored(id), false, "although its event has not arrived")
})

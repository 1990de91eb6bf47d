// What has been said is sent once, in order, however often the line or the server says no.

import assert from "node:assert/strict"
import { beforeEach, test } from "node:test"

import { Refused, Unreachable } from "../../static/js/lib/errors.js"
import { electWithLease, electWithLock } from "../../static/js/state/leader_election.js"
import { Outbox } from "../../static/js/state/outbox.js"
import { OutboxStore } from "../../static/js/state/outbox_store.js"
import { FakeClock, FakeLocks, FakeStorage, row, flushPromises } from "./helpers.mjs"

const DAY_MS = 24 * 3600 * 1000

let clock
let outbox
let sent
let answer // what happens to a message that is sent
let seen
let shelf // the browser's storage
let locks

beforeEach(() => {
  clock = new FakeClock()
  shelf = new FakeStorage()
  locks = new FakeLocks()
  sent = []
  seen = []
  answer = async () => stored(1)
  outbox = openTab()
  outbox.addEventListener("change", ({ detail }) => seen.push(detail))
})

const stored = (seq) => ({ seq, rev: seq, timestamp: row(seq).timestamp, head: seq })

function recordAndAnswer(item) {
  sent.push(item)
  return answer(item)
}

/** One more page of the same browser in the same room. */
function openTab({ elect = electWithLock("kitchen", locks), send = recordAndAnswer } = {}) {
  const { area, page } = shelf.tab()
  return new Outbox({
    clock,
    elect,
    send,
    store: new OutboxStore("kitchen", { getStorage: () => area, storageEvents: page }),
  })
}

const say = (message) => outbox.enqueue({ handle: "Ada", message })
const words = () => sent.map(({ message }) => message)
const refusal = (more) => new Refused({ code: "busy", message: "Busy.", retry: true, ...more })

test("Ada's forty messages leave one at a time, in the order she said them", async () => {
  let flying = 0
  answer = async () => {
    assert.equal((flying += 1), 1)
    await flushPromises()
    flying -= 1
    return stored(1)
  }
  const said = Array.from({ length: 40 }, (_, number) => `number ${number}`)
  outbox.resume()
  said.forEach(say)
  for (let turn = 0; turn < 80; turn += 1) await flushPromises()

  assert.deepEqual(words(), said)
  assert.equal(outbox.queuedCount, 0)
})

test("what Ada says is there at once, before anybody has answered", () => {
  answer = () => new Promise(() => {})
  const { id } = say("hello")

  assert.deepEqual(
    seen.map((item) => [item.id, item.state]),
    [[id, "queued"]],
  )
})

test("while the room is away nothing leaves, and then everything", async () => {
  say("one")
  say("two")
  await clock.advance(60_000)
  assert.deepEqual(words(), [])
  assert.equal(outbox.queuedCount, 2)

  outbox.resume()
  await flushPromises()
  assert.deepEqual(words(), ["one", "two"])
})

test("without an answer the same message goes again under the same id, after longer and longer pauses", async () => {
  answer = async () => {
    throw new Unreachable("nothing heard")
  }
  outbox.resume()
  say("hello")
  await flushPromises()
  const after = []
  for (const pause of [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]) {
    await clock.advance(pause - 1)
    after.push(sent.length)
    await clock.advance(1)
  }

  assert.deepEqual(after, [1, 2, 3, 4, 5, 6, 7])
  assert.equal(new Set(sent.map(({ id }) => id)).size, 1)
})

test("coming back does not wait for the rest of the pause", async () => {
  answer = async () => {
    throw new Unreachable("cut off")
  }
  outbox.resume()
  say("hello")
  await flushPromises()
  outbox.pause()
  answer = async () => stored(1)
  outbox.resume()
  await flushPromises()

  assert.deepEqual(words(), ["hello", "hello"])
  assert.equal(outbox.queuedCount, 0)
})

test("too fast for the server, Ada waits as long as it asks, and the next message does not push past", async () => {
  answer = async () => {
    throw refusal({ code: "rate_limited", retry_after_ms: 5000 })
  }
  outbox.resume()
  say("one")
  await flushPromises()
  answer = async () => stored(1)
  say("two")
  await clock.advance(4999)
  assert.deepEqual(words(), ["one"])
  assert.deepEqual([seen[1].state, seen[1].reason], ["queued", "Busy."])

  await clock.advance(1)
  assert.deepEqual(words(), ["one", "one", "two"])
})

test("what is refused for good says why, and holds nobody up", async () => {
  answer = async ({ message }) => {
    if (message === "far too long") {
      throw refusal({ code: "too_long", message: "Too long.", retry: false })
    }
    return stored(1)
  }
  outbox.resume()
  say("far too long")
  say("short")
  await flushPromises()

  assert.deepEqual(words(), ["far too long", "short"])
  assert.deepEqual([seen.at(-1).state, seen.at(-1).reason], ["failed", "Too long."])
  assert.equal(outbox.queuedCount, 0)
})

test("Ada tries a refused message again, under its old id", async () => {
  answer = async () => {
    throw refusal({ retry: false })
  }
  outbox.resume()
  const { id } = say("hello")
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

test("Ada gives a refused message up and has her words back", async () => {
  const gone = []
  answer = async () => {
    throw refusal({ retry: false })
  }
  outbox.addEventListener("removed", ({ detail }) => gone.push(detail))
  outbox.resume()
  const { id } = say("hello")
  await flushPromises()

  assert.equal(outbox.discard(id).message, "hello")
  assert.deepEqual(gone, [id])
})

test("Ada's message is kept in the turn of her Enter, before it leaves, and as long as it is not answered", async () => {
  const kept = () => [...shelf.kept.values()].map((text) => JSON.parse(text).message)
  answer = async () => {
    assert.deepEqual(kept(), ["hello"])
    return stored(1)
  }
  say("hello")
  assert.deepEqual(kept(), ["hello"])

  outbox.resume()
  await flushPromises()
  assert.deepEqual(words(), ["hello"])
  assert.deepEqual(kept(), [])
})

test("what an earlier page kept is there again, and is sent first, under its old id", async () => {
  const { id } = say("yesterday")
  const reloaded = openTab()
  reloaded.restore()
  reloaded.enqueue({ handle: "Ada", message: "today" })
  reloaded.resume()
  await flushPromises()

  assert.deepEqual(words(), ["yesterday", "today"])
  assert.equal(sent[0].id, id)
})

test("a page that dies between the answer and forgetting sends nothing again", async () => {
  const { id } = say("hello")
  const text = shelf.getItem(`confab:outbox:kitchen:${id}`)
  shelf.kept.set(
    `confab:outbox:kitchen:${id}`,
    JSON.stringify({ ...JSON.parse(text), state: "sent", answer: stored(1) }),
  )
  const reloaded = openTab()
  reloaded.restore()
  reloaded.resume()
  await flushPromises()

  assert.deepEqual(words(), [])
  assert.equal(shelf.length, 0)
})

test("what the server asked Ada to wait for, a reload does not skip", async () => {
  answer = async () => {
    throw refusal({ code: "rate_limited", retry_after_ms: 5000 })
  }
  outbox.resume()
  say("hello")
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

test("what could not be sent for a day is not sent by itself any more, and not thrown away", async () => {
  say("old")
  await clock.advance(DAY_MS)
  const reloaded = openTab()
  reloaded.addEventListener("change", ({ detail }) => seen.push(detail))
  reloaded.restore()
  reloaded.resume()
  await flushPromises()
  assert.deepEqual(words(), [])
  assert.deepEqual([seen.at(-1).message, seen.at(-1).state], ["old", "failed"])

  reloaded.retry(seen.at(-1).id)
  await flushPromises()
  assert.deepEqual(words(), ["old"])
})

test("a hundred messages wait; the next one Ada keeps in her hand", async () => {
  for (let count = 0; count < 100; count += 1) assert.ok(say(`number ${count}`))

  assert.equal(say("one too many"), null)
  assert.equal(outbox.queuedCount, 100)
})

test("a text in several parts is queued completely, in order, or not at all", async () => {
  const parts = ["one", "two", "three"].map((message) => ({ handle: "Ada", message }))
  for (let count = 0; count < 98; count += 1) say(`number ${count}`)

  assert.equal(outbox.enqueueAll(parts), null)
  assert.equal(outbox.queuedCount, 98)
  assert.equal(shelf.length, 98)
  assert.deepEqual(
    outbox.enqueueAll(parts.slice(0, 2)).map(({ message }) => message),
    ["one", "two"],
  )
  assert.equal(outbox.enqueueAll(parts.slice(2)), null)

  outbox.resume()
  for (let turn = 0; turn < 120; turn += 1) await flushPromises()
  assert.deepEqual(words().slice(-2), ["one", "two"])
})

test("a browser with no room to keep it sends it all the same, and says that it is not kept", async () => {
  shelf.full = true
  say("hello")
  assert.equal(outbox.isPersisted, false)
  assert.equal(outbox.queuedCount, 1)

  outbox.resume()
  await flushPromises()
  assert.deepEqual(words(), ["hello"])
  assert.equal(outbox.isPersisted, true)
})

test("a browser without any storage sends too", async () => {
  const forbidden = () => {
    throw new Error("The operation is insecure.")
  }
  const elect = electWithLease("kitchen", { clock, getStorage: forbidden, tabId: "ada" })
  outbox = new Outbox({
    clock,
    elect,
    store: new OutboxStore("kitchen", { getStorage: forbidden, storageEvents: new EventTarget() }),
    send: recordAndAnswer,
  })
  outbox.restore()
  say("hello")
  outbox.resume()
  await flushPromises()

  assert.deepEqual(words(), ["hello"])
})

test("what somebody else left in the storage breaks nothing", async () => {
  shelf.kept.set("confab:outbox:kitchen:a", "{not json")
  shelf.kept.set("confab:outbox:kitchen:b", '{"id": 7}')
  shelf.kept.set("confab:outbox:kitchen:c", "null")
  outbox.restore()
  outbox.resume()
  await flushPromises()

  assert.deepEqual(seen, [])
})

test("its event is as good as the answer: it is not kept any longer", async () => {
  answer = () => new Promise(() => {})
  outbox.resume()
  const { id } = say("hello")
  await flushPromises()
  outbox.confirmStored((asked) => (asked === id ? row(1, { id }) : undefined))

  assert.equal(outbox.queuedCount, 0)
  assert.equal(shelf.length, 0)
})

for (const kind of ["the browser's locks", "a lease"]) {
  const leadOf = (me) =>
    kind === "a lease"
      ? electWithLease("kitchen", { clock, getStorage: () => shelf.tab().area, tabId: me })
      : electWithLock("kitchen", locks)
  const keptMessages = () =>
    [...shelf.kept.keys()].filter((key) => key.startsWith("confab:outbox:"))

  test(`two tabs with ${kind} queue: all of it is sent once, in the order it was said, one at a time`, async () => {
    let flying = 0
    answer = async () => {
      assert.equal((flying += 1), 1)
      await flushPromises()
      flying -= 1
      return stored(1)
    }
    const tabs = [openTab({ elect: leadOf("one") }), openTab({ elect: leadOf("two") })]
    const said = []
    for (let count = 0; count < 10; count += 1) {
      said.push(`number ${count}`)
      tabs[count % 2].enqueue({ handle: "Ada", message: said.at(-1) })
      await flushPromises()
    }
    assert.deepEqual(
      tabs.map(({ queuedCount }) => queuedCount),
      [10, 10],
    )
    for (const tab of tabs) tab.resume()
    for (let turn = 0; turn < 60; turn += 1) await clock.advance(100)

    assert.deepEqual(words(), said)
    assert.deepEqual(
      tabs.map(({ queuedCount }) => queuedCount),
      [0, 0],
    )
    assert.deepEqual(keptMessages(), [])
  })

  test(`with ${kind}, a tab whose line is dead does not hold up the other`, async () => {
    const dead = openTab({
      elect: leadOf("one"),
      send: async () => {
        throw new Unreachable("operation has timed out")
      },
    })
    const alive = openTab({ elect: leadOf("two") })
    dead.resume()
    dead.enqueue({ handle: "Ada", message: "hello" })
    await flushPromises()
    alive.resume()
    await clock.advance(600)

    assert.deepEqual(words(), ["hello"])
    assert.equal(dead.queuedCount, 0)
  })
}

test("a tab that dies while it leads is followed by the other, when its lease has ended", async () => {
  shelf.kept.set("confab:lease:kitchen", JSON.stringify({ me: "dead", until: clock.now() + 6000 }))
  outbox = openTab({
    elect: electWithLease("kitchen", { clock, getStorage: () => shelf.tab().area, tabId: "ada" }),
  })
  outbox.resume()
  say("hello")
  await clock.advance(5900)
  assert.deepEqual(words(), [])

  await clock.advance(1000)
  assert.deepEqual(words(), ["hello"])
})

test("a long delivery keeps its lease", async () => {
  const [mine, other] = ["one", "two"].map((me) =>
    electWithLease("kitchen", { clock, getStorage: () => shelf.tab().area, tabId: me }),
  )
  const handOn = await mine()
  let led = false
  other().then(() => (led = true))
  await clock.advance(20_000)
  assert.equal(led, false)

  handOn()
  await clock.advance(1000)
  assert.equal(led, true)
})

test("a browser whose locks refuse sends without them", async () => {
  outbox = openTab({
    elect: electWithLock("kitchen", {
      request: async () => Promise.reject(new Error("SecurityError")),
    }),
  })
  outbox.resume()
  say("hello")
  await flushPromises()

  assert.deepEqual(words(), ["hello"])
})

test("what Ada says in one tab waits in the other too, and what becomes of it shows in both", async () => {
  const told = []
  const other = openTab()
  for (const name of ["change", "sent", "removed"]) {
    other.addEventListener(name, ({ detail }) =>
      told.push([
        name,
        detail.item?.message ?? detail.message ?? detail,
        detail.state ?? detail.answer?.seq,
      ]),
    )
  }
  answer = async ({ message }) => {
    if (message === "no") throw refusal({ retry: false })
    return stored(7)
  }
  say("yes")
  const { id } = say("no")
  outbox.resume()
  await flushPromises()
  outbox.discard(id)
  await flushPromises()

  assert.deepEqual(told, [
    ["change", "yes", "queued"],
    ["change", "no", "queued"],
    ["sent", "yes", 7],
    ["change", "no", "failed"],
    ["removed", id, undefined],
  ])
})

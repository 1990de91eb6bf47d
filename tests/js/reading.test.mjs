// Reading: what belongs together, what is folded, what counts as read, and whose name was said.

import assert from "node:assert/strict"
import { beforeEach, test } from "node:test"

import { Announcer } from "../../static/js/announcer.js"
import { Attention } from "../../static/js/attention.js"
import { isLong } from "../../static/js/extras.js"
import { Notices } from "../../static/js/notices.js"
import { begins, follows, said } from "../../static/js/time.js"
import { Storage } from "../../static/js/storage.js"
import { mentions } from "../../static/js/text.js"
import { FakeClock, row } from "./helpers.mjs"

const at = (minutes, author = "ada", handle = "Ada") => said(author, handle, new Date(2026, 10, 22, 12, minutes).toISOString())

test("Ada goes on within five minutes: her name is not said again", () => {
  assert.equal(follows(at(0), at(5)), true)
  assert.equal(follows(at(0), at(6)), false)
  assert.equal(follows(at(0), at(1, "ben", "Ben")), false)
  assert.equal(follows(at(0), at(1, "ada", "Ada L.")), false)
  assert.equal(follows(undefined, at(0)), false)
})

test("a day begins with a line, and nobody follows over it", () => {
  const late = said("ada", "Ada", new Date(2026, 10, 22, 23, 59).toISOString())
  const early = said("ada", "Ada", new Date(2026, 10, 23, 0, 1).toISOString())

  assert.equal(begins(late, early), true)
  assert.equal(follows(late, early), false)
  assert.equal(begins(undefined, early), true)
  assert.equal(begins(at(0), at(30)), false)
})

test("more than twenty-five lines or two thousand characters are folded", () => {
  assert.equal(isLong(Array(25).fill("x").join("\n")), false)
  assert.equal(isLong(Array(26).fill("x").join("\n")), true)
  assert.equal(isLong("x".repeat(2000)), false)
  assert.equal(isLong("x".repeat(2001)), true)
})

test("a name is mentioned as a word, in any case, in any script", () => {
  for (const text of ["Ann, look", "so says @ann", "(ANN)", "Hannah and Ann"]) assert.equal(mentions(text, "Ann"), true, text)
  for (const text of ["Hannah", "annals", "Ännann", ""]) assert.equal(mentions(text, "Ann"), false, text)
  assert.equal(mentions("привет, Зоя!", "зоя"), true)
  assert.equal(mentions("anything", "  "), false)
  assert.equal(mentions("frau strasse?", "Straße"), true)
  assert.equal(mentions("cafe\u0301 society", "Café"), true)
  assert.equal(mentions("a+b (c)", "B (C)"), true)
  assert.equal(mentions("ax", "a."), false)
  assert.equal(mentions("你好李雷吗", "李雷"), true)
  assert.equal(mentions("Ann_1 and anne\u0301", "Ann"), false)
})

let clock
let tab
let storage
let looking

function reader() {
  return new Attention({ label: "kitchen", storage, clock, tab, looking: () => looking })
}

beforeEach(() => {
  clock = new FakeClock()
  const kept = new Map()
  storage = new Storage(() => ({ getItem: (key) => kept.get(key) ?? null, setItem: (key, value) => kept.set(key, value) }))
  tab = { count: 0 }
  looking = true
})

const mine = () => false

test("whoever comes for the first time has missed nothing", () => {
  const attention = reader()
  attention.open([row(1), row(2)], mine)

  assert.equal(attention.line, null)
  assert.equal(tab.count, 0)
  assert.equal(storage.get("read:kitchen"), 2)
})

test("what came while Ben looked elsewhere is counted, with a line above it, until he has looked for a second", async () => {
  const attention = reader()
  attention.open([row(1)], mine)
  looking = false
  attention.arrived([row(2)], 2)
  attention.arrived([row(4), row(5)], 5)
  assert.equal(tab.count, 3)
  assert.deepEqual(attention.line, { after: 1, words: "New" })

  looking = true
  attention.look()
  await clock.pass(900)
  assert.equal(tab.count, 3)
  await clock.pass(200)
  assert.equal(tab.count, 0)
  assert.deepEqual(attention.line, { after: 1, words: "New" })
  assert.equal(storage.get("read:kitchen"), 5)
})

test("a glance is not a look", async () => {
  const attention = reader()
  attention.open([row(1)], mine)
  looking = false
  attention.arrived([row(2)], 2)
  looking = true
  attention.look()
  await clock.pass(500)
  looking = false
  attention.look()
  await clock.pass(2000)

  assert.equal(tab.count, 1)
})

test("whoever comes back finds the line where they left, and the next one in its new place", async () => {
  const before = reader()
  before.open([row(1), row(2)], mine)
  const attention = reader()
  attention.open([row(1), row(2), row(3), row(4)], mine)
  assert.deepEqual(attention.line, { after: 2, words: "New" })
  assert.equal(tab.count, 2)

  await clock.pass(1100)
  looking = false
  attention.arrived([row(9)], 9)
  assert.deepEqual(attention.line, { after: 8, words: "New" })
  attention.clear()
  assert.equal(attention.line, null)
})

test("what was in sight when the page closed is not new when it opens again", () => {
  const before = reader()
  before.open([row(1)], mine)
  before.arrived([row(2)], 2)
  before.leave()
  const attention = reader()
  attention.open([row(1), row(2)], mine)

  assert.equal(attention.line, null)
})

for (const letters of ["x", "xx"]) {
  const message = letters + "👍".repeat(400)

  test(`a screen reader is given whole characters of a long message that begins with ${letters}`, async () => {
    const read = []
    globalThis.document = { createElement: () => ({ remove() {} }) }
    new Announcer({ append: ({ textContent }) => read.push(textContent) }, clock).heard([row(1, { message })])
    await clock.pass(1000)
    delete globalThis.document

    assert.equal(read.length, 1)
    assert.ok(read[0].isWellFormed())
    assert.ok(read[0].startsWith(`Ada: ${letters}👍👍`))
  })

  test(`a notification shows whole characters of a long message that begins with ${letters}`, () => {
    const shown = []
    globalThis.Notification = class extends EventTarget {
      static permission = "granted"

      constructor(title, { body }) {
        super()
        shown.push(body)
      }
    }
    const notices = new Notices({ label: "kitchen", storage, clock, title: () => "kitchen", name: () => "Ben", answers: () => true })
    notices.tell([row(1, { message })])
    delete globalThis.Notification

    assert.equal(shown.length, 1)
    assert.ok(shown[0].isWellFormed())
    assert.ok(shown[0].startsWith(`Ada: ${letters}👍👍`))
  })
}

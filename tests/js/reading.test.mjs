// Reading: what belongs together, what is folded, what counts as read, and whose name was said.

import assert from "node:assert/strict"
import { beforeEach, test } from "node:test"

import { mentionsName } from "../../static/js/lib/mentions.js"
import { Preferences } from "../../static/js/state/preferences.js"
import { Unread } from "../../static/js/state/unread.js"
import { Announcer } from "../../static/js/view/announcer.js"
import {
  authorshipOf,
  continuesGroup,
  startsNewDay,
} from "../../static/js/view/message_grouping.js"
import { isLong } from "../../static/js/view/message_parts.js"
import { Notifications } from "../../static/js/view/notifications.js"
import { FakeClock, row } from "./helpers.mjs"

const at = (minutes, author = "ada", handle = "Ada") =>
  authorshipOf(author, handle, new Date(2026, 10, 22, 12, minutes).toISOString())

test("Ada goes on within five minutes: her name is not said again", () => {
  assert.equal(continuesGroup(at(0), at(5)), true)
  assert.equal(continuesGroup(at(0), at(6)), false)
  assert.equal(continuesGroup(at(0), at(1, "ben", "Ben")), false)
  assert.equal(continuesGroup(at(0), at(1, "ada", "Ada L.")), false)
  assert.equal(continuesGroup(undefined, at(0)), false)
})

test("a day begins with a line, and nobody follows over it", () => {
  const late = authorshipOf("ada", "Ada", new Date(2026, 10, 22, 23, 59).toISOString())
  const early = authorshipOf("ada", "Ada", new Date(2026, 10, 23, 0, 1).toISOString())

  assert.equal(startsNewDay(late, early), true)
  assert.equal(continuesGroup(late, early), false)
  assert.equal(startsNewDay(undefined, early), true)
  assert.equal(startsNewDay(at(0), at(30)), false)
})

test("more than twenty-five lines or two thousand characters are folded", () => {
  assert.equal(isLong(Array(25).fill("x").join("\n")), false)
  assert.equal(isLong(Array(26).fill("x").join("\n")), true)
  assert.equal(isLong("x".repeat(2000)), false)
  assert.equal(isLong("x".repeat(2001)), true)
})

test("a name is mentioned as a word, in any case, in any script", () => {
  for (const text of ["Ann, look", "so says @ann", "(ANN)", "Hannah and Ann"]) {
    assert.equal(mentionsName(text, "Ann"), true, text)
  }
  for (const text of ["Hannah", "annals", "Ännann", ""]) {
    assert.equal(mentionsName(text, "Ann"), false, text)
  }
  assert.equal(mentionsName("привет, Зоя!", "зоя"), true)
  assert.equal(mentionsName("anything", "  "), false)
  assert.equal(mentionsName("frau strasse?", "Straße"), true)
  assert.equal(mentionsName("cafe\u0301 society", "Café"), true)
  assert.equal(mentionsName("a+b (c)", "B (C)"), true)
  assert.equal(mentionsName("ax", "a."), false)
  assert.equal(mentionsName("你好李雷吗", "李雷"), true)
  assert.equal(mentionsName("Ann_1 and anne\u0301", "Ann"), false)
})

let clock
let storage
let looking

function reader() {
  return new Unread({ label: "kitchen", preferences: storage, clock, isReading: () => looking })
}

beforeEach(() => {
  clock = new FakeClock()
  const kept = new Map()
  storage = new Preferences(() => ({
    getItem: (key) => kept.get(key) ?? null,
    setItem: (key, value) => kept.set(key, value),
  }))
  looking = true
})

const mine = () => false

test("whoever comes for the first time has missed nothing", () => {
  const attention = reader()
  attention.open([row(1), row(2)], mine)

  assert.equal(attention.divider, null)
  assert.equal(attention.count, 0)
  assert.equal(storage.get("read:kitchen"), 2)
})

test("what came while Ben looked elsewhere is counted, with a line above it, until he has looked for a second", async () => {
  const attention = reader()
  attention.open([row(1)], mine)
  looking = false
  attention.addArrived([row(2)], 2)
  attention.addArrived([row(4), row(5)], 5)
  assert.equal(attention.count, 3)
  assert.deepEqual(attention.divider, { after: 1, text: "New" })

  looking = true
  attention.updateReading()
  await clock.advance(900)
  assert.equal(attention.count, 3)
  await clock.advance(200)
  assert.equal(attention.count, 0)
  assert.deepEqual(attention.divider, { after: 1, text: "New" })
  assert.equal(storage.get("read:kitchen"), 5)
})

test("a glance is not a look", async () => {
  const attention = reader()
  attention.open([row(1)], mine)
  looking = false
  attention.addArrived([row(2)], 2)
  looking = true
  attention.updateReading()
  await clock.advance(500)
  looking = false
  attention.updateReading()
  await clock.advance(2000)

  assert.equal(attention.count, 1)
})

test("whoever comes back finds the line where they left, and the next one in its new place", async () => {
  const before = reader()
  before.open([row(1), row(2)], mine)
  const attention = reader()
  attention.open([row(1), row(2), row(3), row(4)], mine)
  assert.deepEqual(attention.divider, { after: 2, text: "New" })
  assert.equal(attention.count, 2)

  await clock.advance(1100)
  looking = false
  attention.addArrived([row(9)], 9)
  assert.deepEqual(attention.divider, { after: 8, text: "New" })
  attention.clearDivider()
  assert.equal(attention.divider, null)
})

test("what was in sight when the page closed is not new when it opens again", () => {
  const before = reader()
  before.open([row(1)], mine)
  before.addArrived([row(2)], 2)
  before.close()
  const attention = reader()
  attention.open([row(1), row(2)], mine)

  assert.equal(attention.divider, null)
})

for (const letters of ["x", "xx"]) {
  const message = letters + "👍".repeat(400)

  test(`a screen reader is given whole characters of a long message that begins with ${letters}`, async () => {
    const read = []
    globalThis.document = { createElement: () => ({ remove() {} }) }
    new Announcer({ append: ({ textContent }) => read.push(textContent) }, clock).announceMessages([
      row(1, { message }),
    ])
    await clock.advance(1000)
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
    const notices = new Notifications({
      label: "kitchen",
      preferences: storage,
      clock,
      getTitle: () => "kitchen",
      getName: () => "Ben",
      isReplyToMe: () => true,
    })
    notices.notify([row(1, { message })])
    delete globalThis.Notification

    assert.equal(shown.length, 1)
    assert.ok(shown[0].isWellFormed())
    assert.ok(shown[0].startsWith(`Ada: ${letters}👍👍`))
  })
}

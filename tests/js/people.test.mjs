// Who is here, what they are called, what they write, and what a line that begins with a slash asks
// for.

import assert from "node:assert/strict"
import { test } from "node:test"

import { normalizeName } from "../../static/js/lib/names.js"
import { characterCount, splitText, truncate } from "../../static/js/lib/text.js"
import { IgnoredPeople } from "../../static/js/state/ignored_people.js"
import { applyPendingChange } from "../../static/js/state/pending_change.js"
import { People } from "../../static/js/state/people.js"
import { Preferences } from "../../static/js/state/preferences.js"
import { Timeline } from "../../static/js/state/timeline.js"
import { parseInput } from "../../static/js/view/commands.js"
import { MENTION_PATTERN } from "../../static/js/view/completion.js"
import { previewText } from "../../static/js/view/message_parts.js"
import { TypingIndicator, typingSentence } from "../../static/js/view/typing_indicator.js"
import { FakeClock, FakeStorage, page, row } from "./helpers.mjs"

const told = (state, more = {}) => ({
  label: "kitchen",
  state,
  here: [],
  gone: [],
  count: 0,
  ...more,
})
const names = (people) => people.present.map(({ name }) => name)

/** A room in which these people are. */
function withPeople(...people) {
  const room = new People()
  room.reset({ people, count: people.length, state: 7 })
  return room
}

test("joining says who is here; then come the differences, each once", () => {
  const people = withPeople({ mark: "b", handle: "Ben" }, { mark: "a" })
  people.applyPresence(told(8, { here: [{ mark: "c", handle: "Cy" }], count: 3 }))
  people.applyPresence(told(8, { gone: ["c"], count: 2 }))
  people.applyPresence(told(9, { gone: ["b"], count: 2 }))

  assert.deepEqual(names(people), ["Cy", ""])
  assert.equal(people.count, 2)
})

test("what is told while joining waits for the answer, and what the answer knows already is dropped", () => {
  const people = new People()
  people.applyPresence(told(7, { here: [{ mark: "x", handle: "old" }] }))
  people.applyPresence(told(8, { here: [{ mark: "c", handle: "Cy" }], count: 2 }))
  people.reset({ people: [{ mark: "b", handle: "Ben" }], state: 7 })

  assert.deepEqual(names(people), ["Ben", "Cy"])
})

test("another worker counts from its own beginning", () => {
  const people = withPeople({ mark: "b", handle: "Ben" })
  people.disconnect()
  people.reset({ people: [{ mark: "b", handle: "Ben" }], state: 1 })
  people.applyPresence(told(2, { here: [{ mark: "c", handle: "Cy" }], count: 2, partial: true }))

  assert.deepEqual(names(people), ["Ben", "Cy"])
  assert.equal(people.isPartial, true)
})

test("a state in full replaces all that was known", () => {
  const people = withPeople({ mark: "b", handle: "Ben" })
  people.applyPresence(told(8, { here: [{ mark: "c", handle: "Cy" }], count: 1, all: true }))

  assert.deepEqual(names(people), ["Cy"])
})

test("people are called what they said last, and what they are called since", () => {
  const people = withPeople({ mark: "b", handle: "Ben" })
  people.learnNames([
    row(1, { mark: "b", handle: "Benny" }),
    row(2, { mark: "b", handle: "Benny", kind: "rename", message: "Benjamin" }),
  ])
  people.learnNames([row(3, { mark: "b", handle: "", kind: "title", message: "Supper" })])

  assert.equal(people.nameOf("b"), "Benjamin")
})

test("one means those who are here before those who have spoken, by any word of a name, without accents, never oneself", () => {
  const people = withPeople({ mark: "me", handle: "Bo" }, { mark: "z", handle: "Zoë Brontë" })
  people.learnNames([row(1, { mark: "b", handle: "Ben" }), row(2, { mark: "me", handle: "Bo" })])

  assert.deepEqual(
    people.suggest("b", "me").map(({ name }) => name),
    ["Zoë Brontë", "Ben"],
  )
  assert.deepEqual(
    people.suggest("ZOE", "me").map(({ name }) => name),
    ["Zoë Brontë"],
  )
  assert.deepEqual(people.suggest("ro", "me"), [])
})

test("another name is offered when somebody else has it", () => {
  const people = withPeople({ mark: "a", handle: "Ada" }, { mark: "b", handle: "ADÁ 2" })

  assert.equal(people.alternativeName("ada", "me"), "ada 3")
  assert.equal(people.alternativeName("Ada", "a"), "")
  assert.equal(people.alternativeName("Cy", "me"), "")
  assert.equal(people.alternativeName(" ", "me"), "")
  assert.equal(normalizeName(" Ångström "), "angstrom")
})

test("who writes is shown for five seconds, or until they have said it", async () => {
  const clock = new FakeClock()
  const place = { textContent: "" }
  const typing = new TypingIndicator(place, clock)
  typing.show({ mark: "b", handle: "Ben" })
  await clock.advance(3000)
  typing.show({ mark: "b", handle: "Ben" })
  typing.show({ mark: "c", handle: "Cy" })
  assert.equal(place.textContent, "Ben and Cy are typing")
  typing.hide("c")
  await clock.advance(4999)
  assert.equal(place.textContent, "Ben is typing")
  await clock.advance(1)

  assert.equal(place.textContent, "")
  assert.equal(typingSentence(["Ada", "Ben", "Cy"]), "Ada and 2 others are typing")
})

test("that one writes is told every three seconds at most, and to no crowd", async () => {
  const clock = new FakeClock()
  const typing = new TypingIndicator({ textContent: "" }, clock)
  assert.equal(typing.shouldSend(51), false)
  assert.equal(typing.shouldSend(50), true)
  assert.equal(typing.shouldSend(50), false)
  await clock.advance(3000)

  assert.equal(typing.shouldSend(50), true)
})

test("a slash begins a command, two begin a message, and a path is a path", () => {
  assert.deepEqual(parseInput("/nick Ada Lovelace "), { command: "nick", argument: "Ada Lovelace" })
  assert.deepEqual(parseInput("/WHO"), { command: "who", argument: "" })
  assert.deepEqual(parseInput("//nick"), { message: "/nick" })
  assert.deepEqual(parseInput("/usr/bin"), { message: "/usr/bin" })
  assert.deepEqual(parseInput("hello /nick"), { message: "hello /nick" })
  assert.deepEqual(parseInput("/me waves\n\n at *Ben*"), { message: "*waves*\n\n *at *Ben**" })
  assert.match(parseInput("/me ").error, /waves/)
  assert.match(parseInput("/dance now").error, /dance/)
})

test("a name begins behind an at, not in an address", () => {
  assert.equal(MENTION_PATTERN.exec("hi @Ad")?.[1], "Ad")
  assert.equal(MENTION_PATTERN.exec("@Ada Lo")?.[1], "Ada Lo")
  assert.equal(MENTION_PATTERN.exec("ada@example"), null)
  assert.equal(MENTION_PATTERN.exec("@Ada\nhello"), null)
})

test("what is too long is cut where a word or a line ends, and nothing is lost", () => {
  assert.deepEqual(splitText("one two three", 8), ["one two", "three"])
  assert.deepEqual(splitText("x".repeat(25), 10), ["x".repeat(10), "x".repeat(10), "xxxxx"])
  assert.deepEqual(splitText("👍👍👍", 2), ["👍👍", "👍"])
  assert.deepEqual(splitText(`one${" ".repeat(20)}two`, 10), ["one", "two"])
  assert.equal(characterCount("👍👍"), 2)
})

/** The shortest of several runs, because a busy machine only makes a run longer. */
function fastest(work) {
  const times = Array.from({ length: 5 }, () => {
    const begun = performance.now()
    work()
    return performance.now() - begun
  })
  return Math.min(...times)
}

for (const [what, piece] of Object.entries({
  words: "word ",
  "one word": "x",
  emoji: "👍",
  lines: "a\n",
  "white space": "x         ",
})) {
  test(`splitting eight times as much text of ${what} takes about eight times as long`, () => {
    const text = piece.repeat(100_000 / piece.length)
    const short = fastest(() => splitText(text, 4000))
    const long = fastest(() => splitText(text.repeat(8), 4000))

    assert.ok(long < 24 * Math.max(short, 0.2), `${short.toFixed(1)} ms and ${long.toFixed(1)} ms`)
  })
}

test("white space in front of a part, behind it and in place of one is left out", () => {
  assert.deepEqual(splitText(`one two${" ".repeat(50)}`, 8), ["one two"])
  assert.deepEqual(splitText("one\n\n  two", 6), ["one", "two"])
  assert.deepEqual(splitText("👍👍 👍", 3), ["👍👍", "👍"])
  assert.deepEqual(splitText("", 3), [])
})

test("text is cut by characters, never through the middle of one", () => {
  assert.equal(truncate("👍👍👍", 2), "👍👍")
  assert.equal(truncate("a👍👍", 2), "a👍")
  assert.equal(truncate("short", 9), "short")
  assert.equal(truncate("", 9), "")
  for (let max = 0; max < 9; max += 1) {
    assert.ok(truncate("a👍b👍👍", max).isWellFormed(), String(max))
  }
})

test("whoever is ignored stays so over a reload, in this room only", () => {
  const { area } = new FakeStorage().tab()
  const storage = new Preferences(() => area)
  const ignored = new IgnoredPeople("kitchen", storage)
  ignored.toggle("b", "Ben")
  ignored.toggle("constructor", "Cy")
  ignored.toggle("constructor", "Cy")

  assert.deepEqual(new IgnoredPeople("kitchen", storage).all, { b: "Ben" })
  assert.equal(new IgnoredPeople("garden", storage).has("b"), false)
  assert.equal(ignored.has("toString"), false)
})

test("a message is known by its first line", () => {
  assert.equal(previewText(row(1, { message: "\n one \ntwo" })), "one ")
  assert.equal(previewText(row(1, { deleted: true })), "Message deleted")
  assert.equal(previewText(undefined), "Earlier message")
})

// Changes on their way

const change = (event, more) => ({
  id: `${event}-1`,
  event,
  seq: 1,
  handle: "",
  message: "",
  timestamp: "now",
  at: 1,
  state: "queued",
  ...more,
})

test("a reaction is put and taken back, and nobody else's with it", () => {
  const react = (on) => change("react", { emoji: "👍", on, mark: "me" })
  const liked = applyPendingChange(row(1, { reactions: { "👍": ["b"] } }), react(true))

  assert.deepEqual(liked.reactions, { "👍": ["b", "me"] })
  assert.deepEqual(applyPendingChange(liked, react(true)).reactions, { "👍": ["b", "me"] })
  assert.deepEqual(applyPendingChange(liked, react(false)).reactions, { "👍": ["b"] })
  assert.deepEqual(
    applyPendingChange(applyPendingChange(row(1), react(true)), react(false)).reactions,
    {},
  )
  assert.deepEqual(
    applyPendingChange(row(1, { deleted: true }), react(true)),
    row(1, { deleted: true }),
  )
})

/** A timeline with two messages, and the texts it has last said to draw. */
function drawn() {
  const timeline = new Timeline()
  const texts = new Map()
  timeline.load(page([row(1), row(2, { reply_to: 1 })]))
  timeline.addEventListener("change", ({ detail }) =>
    detail.forEach((step) => step.row && texts.set(step.row.seq, step.row.message)),
  )
  return { timeline, texts }
}

test("an own edit shows at once, over what others do meanwhile, until its row is here", () => {
  const { timeline, texts } = drawn()
  timeline.addPending(change("edit", { message: "better" }))
  assert.deepEqual(
    [...texts],
    [
      [1, "better"],
      [2, "number 2"],
    ],
  )
  assert.equal(timeline.rowAt(1).pending, true)

  timeline.applyLive(row(1, { rev: 3, reactions: { "👍": ["b"] } }))
  assert.deepEqual(
    [timeline.rowAt(1).message, timeline.rowAt(1).reactions],
    ["better", { "👍": ["b"] }],
  )
  timeline.confirmChange("edit-1", { rev: 4, head: 4 })
  assert.equal(timeline.rowAt(1).message, "better")
  assert.equal(timeline.isBehind, true)
  timeline.applyLive(row(1, { rev: 4, message: "better", edited: "then" }))

  assert.equal(timeline.rowAt(1).edited, "then")
  assert.equal(timeline.rowAt(1).pending, undefined)
})

test("an own change that is refused or given up is taken back", () => {
  const { timeline, texts } = drawn()
  timeline.addPending(change("edit", { message: "better" }))
  timeline.addPending(change("edit", { message: "better", state: "failed" }))
  assert.equal(texts.get(1), "number 1")
  timeline.addPending(change("delete"))
  assert.equal(timeline.rowAt(1).deleted, true)
  timeline.removePending("delete-1")

  assert.equal(texts.get(1), "number 1")
  assert.equal(timeline.rowAt(1).deleted, undefined)
})

test("what is replied to further up is asked for once, and followed when it changes", () => {
  const timeline = new Timeline()
  let asked = 0
  timeline.addEventListener("missingquote", () => (asked += 1))
  timeline.load(page([row(60, { reply_to: 5 })], { older: true }))
  timeline.applyLive(row(61, { rev: 61 }))
  assert.equal(timeline.missingQuote, 5)
  assert.ok(asked)

  timeline.addQuote(5, row(5))
  assert.equal(timeline.missingQuote, undefined)
  assert.equal(timeline.rowAt(5).message, "number 5")
  const redrawn = []
  timeline.addEventListener("change", ({ detail }) =>
    redrawn.push(...detail.map((step) => step.row.seq)),
  )
  timeline.applyLive(row(5, { rev: 62, message: "", deleted: true }))

  assert.equal(timeline.rowAt(5).deleted, true)
  assert.deepEqual(redrawn, [60])
  assert.deepEqual(
    timeline.rows.map(({ seq }) => seq),
    [60, 61],
  )
})

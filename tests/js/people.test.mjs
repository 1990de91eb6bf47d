// Who is here, what they are called, what they write, and what a line that begins with a slash asks for.

import assert from "node:assert/strict"
import { test } from "node:test"

import { BEGUN } from "../../static/js/completion.js"
import { firstLine } from "../../static/js/extras.js"
import { People, plainName } from "../../static/js/people.js"
import { Ignored, Storage } from "../../static/js/storage.js"
import { lengthOf, order, parts, truncate } from "../../static/js/text.js"
import { Timeline, changing } from "../../static/js/timeline.js"
import { Typing, sentence } from "../../static/js/typing.js"
import { FakeClock, FakeShelf, page, row } from "./helpers.mjs"

const told = (state, more = {}) => ({ label: "kitchen", state, here: [], gone: [], count: 0, ...more })
const names = (people) => people.here.map(({ name }) => name)

/** A room in which these people are. */
function withPeople(...people) {
  const room = new People()
  room.join({ people, count: people.length, state: 7 })
  return room
}

test("joining says who is here; then come the differences, each once", () => {
  const people = withPeople({ mark: "b", handle: "Ben" }, { mark: "a" })
  people.hear(told(8, { here: [{ mark: "c", handle: "Cy" }], count: 3 }))
  people.hear(told(8, { gone: ["c"], count: 2 }))
  people.hear(told(9, { gone: ["b"], count: 2 }))

  assert.deepEqual(names(people), ["Cy", ""])
  assert.equal(people.count, 2)
})

test("what is told while joining waits for the answer, and what the answer knows already is dropped", () => {
  const people = new People()
  people.hear(told(7, { here: [{ mark: "x", handle: "old" }] }))
  people.hear(told(8, { here: [{ mark: "c", handle: "Cy" }], count: 2 }))
  people.join({ people: [{ mark: "b", handle: "Ben" }], state: 7 })

  assert.deepEqual(names(people), ["Ben", "Cy"])
})

test("another worker counts from its own beginning", () => {
  const people = withPeople({ mark: "b", handle: "Ben" })
  people.leave()
  people.join({ people: [{ mark: "b", handle: "Ben" }], state: 1 })
  people.hear(told(2, { here: [{ mark: "c", handle: "Cy" }], count: 2, partial: true }))

  assert.deepEqual(names(people), ["Ben", "Cy"])
  assert.equal(people.partial, true)
})

test("a state in full replaces all that was known", () => {
  const people = withPeople({ mark: "b", handle: "Ben" })
  people.hear(told(8, { here: [{ mark: "c", handle: "Cy" }], count: 1, all: true }))

  assert.deepEqual(names(people), ["Cy"])
})

test("people are called what they said last, and what they are called since", () => {
  const people = withPeople({ mark: "b", handle: "Ben" })
  people.learn([row(1, { mark: "b", handle: "Benny" }), row(2, { mark: "b", handle: "Benny", kind: "rename", message: "Benjamin" })])
  people.learn([row(3, { mark: "b", handle: "", kind: "title", message: "Supper" })])

  assert.equal(people.name("b"), "Benjamin")
})

test("one means those who are here before those who have spoken, by any word of a name, without accents, never oneself", () => {
  const people = withPeople({ mark: "me", handle: "Bo" }, { mark: "z", handle: "Zoë Brontë" })
  people.learn([row(1, { mark: "b", handle: "Ben" }), row(2, { mark: "me", handle: "Bo" })])

  assert.deepEqual(people.meant("b", "me").map(({ name }) => name), ["Zoë Brontë", "Ben"])
  assert.deepEqual(people.meant("ZOE", "me").map(({ name }) => name), ["Zoë Brontë"])
  assert.deepEqual(people.meant("ro", "me"), [])
})

test("another name is offered when somebody else has it", () => {
  const people = withPeople({ mark: "a", handle: "Ada" }, { mark: "b", handle: "ADÁ 2" })

  assert.equal(people.another("ada", "me"), "ada 3")
  assert.equal(people.another("Ada", "a"), "")
  assert.equal(people.another("Cy", "me"), "")
  assert.equal(people.another(" ", "me"), "")
  assert.equal(plainName(" Ångström "), "angstrom")
})

test("who writes is shown for five seconds, or until they have said it", async () => {
  const clock = new FakeClock()
  const place = { textContent: "" }
  const typing = new Typing(place, clock)
  typing.hear({ mark: "b", handle: "Ben" })
  await clock.pass(3000)
  typing.hear({ mark: "b", handle: "Ben" })
  typing.hear({ mark: "c", handle: "Cy" })
  assert.equal(place.textContent, "Ben and Cy are typing")
  typing.stop("c")
  await clock.pass(4999)
  assert.equal(place.textContent, "Ben is typing")
  await clock.pass(1)

  assert.equal(place.textContent, "")
  assert.equal(sentence(["Ada", "Ben", "Cy"]), "Ada and 2 others are typing")
})

test("that one writes is told every three seconds at most, and to no crowd", async () => {
  const clock = new FakeClock()
  const typing = new Typing({ textContent: "" }, clock)
  assert.equal(typing.isNews(51), false)
  assert.equal(typing.isNews(50), true)
  assert.equal(typing.isNews(50), false)
  await clock.pass(3000)

  assert.equal(typing.isNews(50), true)
})

test("a slash begins a command, two begin a message, and a path is a path", () => {
  assert.deepEqual(order("/nick Ada Lovelace "), { command: "nick", rest: "Ada Lovelace" })
  assert.deepEqual(order("/WHO"), { command: "who", rest: "" })
  assert.deepEqual(order("//nick"), { say: "/nick" })
  assert.deepEqual(order("/usr/bin"), { say: "/usr/bin" })
  assert.deepEqual(order("hello /nick"), { say: "hello /nick" })
  assert.deepEqual(order("/me waves\n\n at *Ben*"), { say: "*waves*\n\n *at *Ben**" })
  assert.match(order("/me ").wrong, /waves/)
  assert.match(order("/dance now").wrong, /dance/)
})

test("a name begins behind an at, not in an address", () => {
  assert.equal(BEGUN.exec("hi @Ad")?.[1], "Ad")
  assert.equal(BEGUN.exec("@Ada Lo")?.[1], "Ada Lo")
  assert.equal(BEGUN.exec("ada@example"), null)
  assert.equal(BEGUN.exec("@Ada\nhello"), null)
})

test("what is too long is cut where a word or a line ends, and nothing is lost", () => {
  assert.deepEqual(parts("one two three", 8), ["one two", "three"])
  assert.deepEqual(parts("x".repeat(25), 10), ["x".repeat(10), "x".repeat(10), "xxxxx"])
  assert.deepEqual(parts("👍👍👍", 2), ["👍👍", "👍"])
  assert.deepEqual(parts(`one${" ".repeat(20)}two`, 10), ["one", "two"])
  assert.equal(lengthOf("👍👍"), 2)
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

for (const [what, piece] of Object.entries({ words: "word ", "one word": "x", "emoji": "👍", lines: "a\n", "white space": "x         " })) {
  test(`splitting eight times as much text of ${what} takes about eight times as long`, () => {
    const text = piece.repeat(100_000 / piece.length)
    const short = fastest(() => parts(text, 4000))
    const long = fastest(() => parts(text.repeat(8), 4000))

    assert.ok(long < 24 * Math.max(short, 0.2), `${short.toFixed(1)} ms and ${long.toFixed(1)} ms`)
  })
}

test("white space in front of a part, behind it and in place of one is left out", () => {
  assert.deepEqual(parts(`one two${" ".repeat(50)}`, 8), ["one two"])
  assert.deepEqual(parts("one\n\n  two", 6), ["one", "two"])
  assert.deepEqual(parts("👍👍 👍", 3), ["👍👍", "👍"])
  assert.deepEqual(parts("", 3), [])
})

test("text is cut by characters, never through the middle of one", () => {
  assert.equal(truncate("👍👍👍", 2), "👍👍")
  assert.equal(truncate("a👍👍", 2), "a👍")
  assert.equal(truncate("short", 9), "short")
  assert.equal(truncate("", 9), "")
  for (let max = 0; max < 9; max += 1) assert.ok(truncate("a👍b👍👍", max).isWellFormed(), String(max))
})

test("whoever is ignored stays so over a reload, in this room only", () => {
  const { area } = new FakeShelf().tab()
  const storage = new Storage(() => area)
  const ignored = new Ignored("kitchen", storage)
  ignored.turn("b", "Ben")
  ignored.turn("constructor", "Cy")
  ignored.turn("constructor", "Cy")

  assert.deepEqual(new Ignored("kitchen", storage).all, { b: "Ben" })
  assert.equal(new Ignored("garden", storage).has("b"), false)
  assert.equal(ignored.has("toString"), false)
})

test("a message is known by its first line", () => {
  assert.equal(firstLine(row(1, { message: "\n one \ntwo" })), "one ")
  assert.equal(firstLine(row(1, { deleted: true })), "message deleted")
  assert.equal(firstLine(undefined), "an earlier message")
})

// Changes on their way

const change = (event, more) => ({ id: `${event}-1`, event, seq: 1, handle: "", message: "", timestamp: "now", at: 1, state: "queued", ...more })

test("a reaction is put and taken back, and nobody else's with it", () => {
  const react = (on) => change("react", { emoji: "👍", on, mark: "me" })
  const liked = changing(row(1, { reactions: { "👍": ["b"] } }), react(true))

  assert.deepEqual(liked.reactions, { "👍": ["b", "me"] })
  assert.deepEqual(changing(liked, react(true)).reactions, { "👍": ["b", "me"] })
  assert.deepEqual(changing(liked, react(false)).reactions, { "👍": ["b"] })
  assert.deepEqual(changing(changing(row(1), react(true)), react(false)).reactions, {})
  assert.deepEqual(changing(row(1, { deleted: true }), react(true)), row(1, { deleted: true }))
})

/** A timeline with two messages, and the texts it has last said to draw. */
function drawn() {
  const timeline = new Timeline()
  const texts = new Map()
  timeline.load(page([row(1), row(2, { reply_to: 1 })]))
  timeline.addEventListener("change", ({ detail }) => detail.forEach((step) => step.row && texts.set(step.row.seq, step.row.message)))
  return { timeline, texts }
}

test("an own edit shows at once, over what others do meanwhile, until its row is here", () => {
  const { timeline, texts } = drawn()
  timeline.expect(change("edit", { message: "better" }))
  assert.deepEqual([...texts], [[1, "better"], [2, "number 2"]])
  assert.equal(timeline.at(1).pending, true)

  timeline.hear(row(1, { rev: 3, reactions: { "👍": ["b"] } }))
  assert.deepEqual([timeline.at(1).message, timeline.at(1).reactions], ["better", { "👍": ["b"] }])
  timeline.changed("edit-1", { rev: 4, head: 4 })
  assert.equal(timeline.at(1).message, "better")
  assert.equal(timeline.behind, true)
  timeline.hear(row(1, { rev: 4, message: "better", edited: "then" }))

  assert.equal(timeline.at(1).edited, "then")
  assert.equal(timeline.at(1).pending, undefined)
})

test("an own change that is refused or given up is taken back", () => {
  const { timeline, texts } = drawn()
  timeline.expect(change("edit", { message: "better" }))
  timeline.expect(change("edit", { message: "better", state: "failed" }))
  assert.equal(texts.get(1), "number 1")
  timeline.expect(change("delete"))
  assert.equal(timeline.at(1).deleted, true)
  timeline.forget("delete-1")

  assert.equal(texts.get(1), "number 1")
  assert.equal(timeline.at(1).deleted, undefined)
})

test("what is replied to further up is asked for once, and followed when it changes", () => {
  const timeline = new Timeline()
  let asked = 0
  timeline.addEventListener("quoted", () => (asked += 1))
  timeline.load(page([row(60, { reply_to: 5 })], { older: true }))
  timeline.hear(row(61, { rev: 61 }))
  assert.equal(timeline.unknown, 5)
  assert.ok(asked)

  timeline.quote(5, row(5))
  assert.equal(timeline.unknown, undefined)
  assert.equal(timeline.at(5).message, "number 5")
  const redrawn = []
  timeline.addEventListener("change", ({ detail }) => redrawn.push(...detail.map((step) => step.row.seq)))
  timeline.hear(row(5, { rev: 62, message: "", deleted: true }))

  assert.equal(timeline.at(5).deleted, true)
  assert.deepEqual(redrawn, [60])
  assert.deepEqual(timeline.rows.map(({ seq }) => seq), [60, 61])
})

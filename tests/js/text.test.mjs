// Measuring, shortening and splitting text.

import assert from "node:assert/strict"
import { test } from "node:test"

import { characterCount, formatCount, splitText, truncate } from "../../static/js/lib/text.js"
import { cpuMilliseconds } from "./fakes.mjs"

test("characters are counted as the server counts them", () => {
  assert.equal(characterCount("👍👍"), 2)
})

test("a long text is split at the end of a word or a line, and nothing is lost", () => {
  assert.deepEqual(splitText("one two three", 8), ["one two", "three"])
  assert.deepEqual(splitText("x".repeat(25), 10), ["x".repeat(10), "x".repeat(10), "xxxxx"])
  assert.deepEqual(splitText("👍👍👍", 2), ["👍👍", "👍"])
})

test("white space around the parts is dropped", () => {
  assert.deepEqual(splitText(`one${" ".repeat(20)}two`, 10), ["one", "two"])
  assert.deepEqual(splitText(`one two${" ".repeat(50)}`, 8), ["one two"])
  assert.deepEqual(splitText("one\n\n  two", 6), ["one", "two"])
  assert.deepEqual(splitText("👍👍 👍", 3), ["👍👍", "👍"])
  assert.deepEqual(splitText("", 3), [])
})

/** The CPU time of the fastest of several runs: the compiler makes some of them longer. */
function fastestRun(work) {
  return Math.min(...Array.from({ length: 5 }, () => cpuMilliseconds(work)))
}

for (const [description, piece] of Object.entries({
  words: "word ",
  "one word": "x",
  emoji: "👍",
  lines: "a\n",
  "white space": "x         ",
})) {
  test(`the time to split a text of ${description} is linear in its length`, () => {
    const text = piece.repeat(100_000 / piece.length)
    const short = fastestRun(() => splitText(text, 4000))
    const long = fastestRun(() => splitText(text.repeat(8), 4000))

    const maxDuration = 24 * Math.max(short, 0.2)
    assert.ok(long < maxDuration, `${short.toFixed(1)} ms and ${long.toFixed(1)} ms`)
  })
}

test("a text is never cut inside a character", () => {
  assert.equal(truncate("👍👍👍", 2), "👍👍")
  assert.equal(truncate("a👍👍", 2), "a👍")
  assert.equal(truncate("short", 9), "short")
  assert.equal(truncate("", 9), "")
  for (let max = 0; max < 9; max += 1) {
    assert.ok(truncate("a👍b👍👍", max).isWellFormed(), String(max))
  }
})

test("a count has a noun in the singular or plural", () => {
  assert.equal(formatCount(1, "message"), "1 message")
  assert.equal(formatCount(2, "message"), "2 messages")
})

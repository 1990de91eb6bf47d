// Measuring and shortening text.

import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { test } from "node:test"

import {
  approximateBoundary,
  boundaryBefore,
  firstGrapheme,
} from "../../static/js/lib/graphemes.js"
import {
  characterCount,
  formatCount,
  isBlank,
  positionAfter,
  truncate,
} from "../../static/js/lib/text.js"

const examples = JSON.parse(
  readFileSync(new URL("../vectors/blank_texts.json", import.meta.url), "utf8"),
)

test("a text of white space and invisible characters is blank", () => {
  for (const text of examples.blank) assert.ok(isBlank(text), JSON.stringify(text))
  for (const text of examples.visible) assert.ok(!isBlank(text), JSON.stringify(text))
})

test("characters are counted as the server counts them", () => {
  for (const text of ["", "a", "👍👍", "👨‍👩‍👧", "\ud83d", "a\udc4d", "\udc4d\ud83d"]) {
    assert.equal(characterCount(text), [...text].length, JSON.stringify(text))
  }
})

test("a text is never cut inside a character", () => {
  assert.equal(truncate("👍👍👍", 2), "👍👍")
  assert.equal(truncate("a👍👍", 2), "a👍")
  assert.equal(truncate("short", 9), "short")
  assert.equal(truncate("", 9), "")
  for (let max = 0; max < 9; max += 1) {
    assert.ok(truncate("a👍b👍👍", max).isWellFormed(), String(max))
  }
})

const GRAPHEMES = [
  "🇩🇪",
  "👨‍👩‍👧",
  "👍🏽",
  "❤️",
  "1️⃣",
  "🏴\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}",
  `A${"\u0301".repeat(9)}`,
  "ก็",
]

for (const [name, find] of Object.entries({
  "Intl.Segmenter": undefined,
  "the approximation": approximateBoundary,
})) {
  test(`a text is not cut inside of what looks like one character, by ${name}`, () => {
    for (const grapheme of GRAPHEMES) {
      const text = `a${grapheme}${grapheme}b`
      for (let index = 1; index < text.length; index += 1) {
        const cut = boundaryBefore(text, index, find)
        const boundaries = [1, 1 + grapheme.length, 1 + 2 * grapheme.length]
        const expected = boundaries.findLast((boundary) => boundary <= index)
        assert.equal(cut, expected, `${grapheme} at ${index}`)
      }
      assert.equal(firstGrapheme(`${grapheme} Ana`, find), grapheme)
    }
    assert.equal(boundaryBefore("🇩🇪🇫🇷🇮🇹", 10, find), 8)
    assert.equal(firstGrapheme("", find), "")
  })
}

test("a text of one long character is cut between code points", () => {
  assert.equal(truncate(`👍${"\u0301".repeat(9)}`, 3), "👍\u0301\u0301")
})

test("a shortened text ends at a whole character", () => {
  assert.equal(truncate("Ana 🇩🇪🇫🇷", 7), "Ana 🇩🇪")
  assert.equal(truncate("Ana 👨‍👩‍👧", 8), "Ana ")
  assert.equal(positionAfter("a👍b", 1, 1), 3)
  assert.equal(positionAfter("a👍b", 0, 9), 4)
})

test("a count has a noun in the singular or plural", () => {
  assert.equal(formatCount(1, "message"), "1 message")
  assert.equal(formatCount(2, "message"), "2 messages")
})

// Splitting a long text into messages.

import assert from "node:assert/strict"
import { test } from "node:test"

import { parseMarkdown } from "../../static/js/lib/markdown.js"
import { splitMessage } from "../../static/js/lib/message_splitting.js"
import { characterCount } from "../../static/js/lib/text.js"
import { cpuMilliseconds, seededRandom } from "./fakes.mjs"

function split(text, maxCharacters, maxParts = 100) {
  return splitMessage(text, { maxCharacters, maxParts })
}

test("a text is cut between words, and inside a word only if that is too long", () => {
  assert.deepEqual(split("one two three", 8), ["one two", "three"])
  assert.deepEqual(split("one two", 3), ["one", "two"])
  assert.deepEqual(split("x".repeat(25), 10), ["x".repeat(10), "x".repeat(10), "xxxxx"])
  assert.deepEqual(split("", 3), [])
})

test("a text is cut between lines rather than inside one", () => {
  assert.deepEqual(split("one two\nthree four", 14), ["one two", "three four"])
  assert.deepEqual(split("a b\nc d\ne f g h", 9), ["a b\nc d", "e f g h"])
})

test("a text is cut between paragraphs if that leaves more than half of a part", () => {
  assert.deepEqual(split("one two three\n\nfour\nfive", 20), ["one two three", "four\nfive"])
  assert.deepEqual(split("1\n\ntwo three\nfour", 14), ["1\n\ntwo three", "four"])
})

test("the indentation of lines is kept, and blank space between parts is dropped", () => {
  assert.deepEqual(split("  a:\n    b\n    c", 10), ["  a:\n    b", "    c"])
  assert.deepEqual(split("\n\n  one\n \n\n  two\n\n", 6), ["  one", "  two"])
  assert.deepEqual(split(`one${" ".repeat(20)}two`, 10), ["one", "two"])
  assert.deepEqual(split(`${" ".repeat(9)}one`, 5), ["one"])
})

test("blank text between parts needs no room, and only a text with too many parts is refused", () => {
  assert.deepEqual(split(`one${" ".repeat(1000)}two`, 3, 2), ["one", "two"])
  assert.deepEqual(split(`one\n${"\u2800\n".repeat(1000)}two`, 3, 2), ["one", "two"])
  assert.equal(split("one two six", 3, 2), null)
  assert.equal(split("one1two2six", 3, 2), null)
})

const FLAGS = "🇩🇪🇫🇷🇮🇹"
const FAMILY = "👨‍👩‍👧"
const ACCENTED = `e${"\u0301".repeat(3)}`

test("a text is never cut inside of what a reader takes for one character", () => {
  assert.deepEqual(split(FLAGS, 3), ["🇩🇪", "🇫🇷", "🇮🇹"])
  assert.deepEqual(split(FAMILY + FAMILY, 8), [FAMILY, FAMILY])
  assert.deepEqual(split(ACCENTED.repeat(3), 9), [ACCENTED.repeat(2), ACCENTED])
  assert.deepEqual(split("👍👍👍", 2), ["👍👍", "👍"])
})

test("a character that is longer than a part is cut between code points", () => {
  const parts = split(`A${"\u0301".repeat(11)}👍`, 5)

  assert.ok(parts.every((part) => characterCount(part) <= 5 && part.isWellFormed()))
})

test("fenced code that is cut is closed and opened again with its language", () => {
  const text = "```js\none()\n  two()\nthree()\n```\nend"

  assert.deepEqual(split(text, 26), ["```js\none()\n  two()\n```", "```js\nthree()\n```\nend"])
  assert.deepEqual(split("```\na\n\n\nb\nc\n```", 12), ["```\na\n\n\n```", "```\nb\nc\n```"])
})

test("fenced code in a quote is closed and opened again in the quote", () => {
  assert.deepEqual(split("> ```py\n> one\n> two\n> three\n> ```", 29), [
    "> ```py\n> one\n> two\n> ```",
    "> ```py\n> three\n> ```",
  ])
})

test("fenced code is not cut if it can be in the next part", () => {
  assert.deepEqual(split("before that\n```\ncode\n```", 20), ["before that", "```\ncode\n```"])
})

test("no part has an empty code block", () => {
  const text = "```js\naaaa\nbbbb\ncccc\n```"
  for (let max = 16; max < text.length; max += 1) {
    for (const part of split(text, max)) assert.doesNotMatch(part, /^```js\n*```/m)
  }
})

test("a line of a quote that is cut is a quote in both parts", () => {
  assert.deepEqual(split("> one two three", 10), ["> one two", "> three"])
  assert.deepEqual(split(">> one two three", 11), [">> one two", ">> three"])
})

test("a text of too many parts is not split", () => {
  assert.equal(split("a b c", 1, 2), null)
  assert.equal(split("word ".repeat(5), 7, 4), null)
  assert.deepEqual(split("a b c", 1, 3), ["a", "b", "c"])
})

const PIECES = [
  ..."word longerword \n \n\n  indented\n```js\ncode();\n```\n> quote\n> ```\n> a\n> ```\n".split(
    /(?= )/,
  ),
  "\n```\n",
  "\n```js\n",
  "\n  more()",
  "\n> ",
  "\n> ```\n",
  "x".repeat(20),
  FLAGS,
  FAMILY,
  ACCENTED,
]

/** The code blocks and the rest of texts, without white space and the markers of quotes. */
function contentOf(texts) {
  const code = []
  const rest = []
  const collect = (nodes, output) => {
    for (const node of nodes) {
      if (typeof node === "string") output.push(node)
      else collect(node[1], node[0] === "fence" ? code : output)
    }
  }
  for (const text of texts) collect(parseMarkdown(text), rest)
  return [code, rest].map((each) => each.join("").replace(/[\s>]/g, ""))
}

test("random texts lose nothing, and their parts are neither too long nor blank", () => {
  const random = seededRandom(15)
  for (let example = 0; example < 1500; example += 1) {
    const count = 1 + Math.floor(random() * 40)
    const pick = () => PIECES[Math.floor(random() * PIECES.length)]
    const text = Array.from({ length: count }, pick).join("")
    const max = 50 + Math.floor(random() * 60)
    const parts = split(text, max)

    for (const part of parts) {
      assert.ok(characterCount(part) <= max, JSON.stringify({ text, max, part }))
      assert.notEqual(part.trim(), "")
    }
    assert.deepEqual(contentOf(parts), contentOf([text]), JSON.stringify({ text, max, parts }))
  }
})

/** The CPU time of the fastest of several runs: the compiler makes some of them longer. */
function fastestRun(work) {
  return Math.min(...Array.from({ length: 5 }, () => cpuMilliseconds(work)))
}

const MAX_CPU_MS = 50

for (const [description, piece] of Object.entries({
  words: "word ",
  "one word": "x",
  emoji: "👍",
  lines: "a\n",
  "white space": "x         ",
  "code blocks": "```\na\n```\n",
  "one code block": ["```js", ..."a = 1\n".repeat(20_000).split("\n"), "```"].join("\n"),
  quotes: "> > a\n",
  accents: "\u0301",
})) {
  test(`500,000 characters of ${description} are split or refused quickly`, () => {
    const text = piece.repeat(Math.ceil(500_000 / piece.length))
    const used = fastestRun(() => split(text, 4000, 1000))
    assert.ok(used < 4 * MAX_CPU_MS, `${used.toFixed(0)} ms`)

    const usedToRefuse = fastestRun(() => split(text, 4000, 20))
    assert.ok(usedToRefuse < MAX_CPU_MS, `${usedToRefuse.toFixed(0)} ms`)
  })
}

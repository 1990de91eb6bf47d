// Previews and announcements have no Markdown; tests/text/test_plain_text.py has the same examples.

import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { test } from "node:test"

import { firstLine, plainText } from "../../static/js/lib/plain_text.js"

const examples = JSON.parse(
  readFileSync(new URL("../vectors/first_lines.json", import.meta.url), "utf8"),
)

for (const { source, line } of examples) {
  test(`the first line of ${JSON.stringify(source)}`, () => {
    assert.equal(firstLine(source), line)
  })
}

test("only the beginning of a long message is parsed", () => {
  assert.equal(firstLine("😀".repeat(5000)), "😀".repeat(400))
})

test("the text of blocks is on lines of its own", () => {
  assert.equal(plainText("look:\n```\ncode\n```\nend"), "look:\ncode\nend")
  assert.equal(plainText("before\n> **quoted**\nafter"), "before\nquoted\nafter")
})

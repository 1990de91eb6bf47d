// Where a mention begins.

import assert from "node:assert/strict"
import { test } from "node:test"

import { MENTION_PATTERN } from "../../static/js/view/completion.js"

test("a mention begins with an @ that is not inside a word", () => {
  assert.equal(MENTION_PATTERN.exec("hi @Ad")?.[1], "Ad")
  assert.equal(MENTION_PATTERN.exec("@Ada Lo")?.[1], "Ada Lo")
  assert.equal(MENTION_PATTERN.exec("ada@example"), null)
  assert.equal(MENTION_PATTERN.exec("@Ada\nhello"), null)
})

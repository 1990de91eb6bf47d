// Which messages are shown as a group, and where a new day begins.

import assert from "node:assert/strict"
import { test } from "node:test"

import {
  authorshipOf,
  continuesGroup,
  startsNewDay,
} from "../../static/js/view/message_grouping.js"

function atMinute(minute, author = "ada", handle = "Ada") {
  return authorshipOf(author, handle, new Date(2026, 10, 22, 12, minute).toISOString())
}

test("messages of one person within five minutes are a group", () => {
  assert.equal(continuesGroup(atMinute(0), atMinute(5)), true)
  assert.equal(continuesGroup(atMinute(0), atMinute(6)), false)
  assert.equal(continuesGroup(atMinute(0), atMinute(1, "ben", "Ben")), false)
  assert.equal(continuesGroup(atMinute(0), atMinute(1, "ada", "Ada L.")), false)
  assert.equal(continuesGroup(undefined, atMinute(0)), false)
})

test("a new day begins at midnight, and ends a group", () => {
  const beforeMidnight = authorshipOf("ada", "Ada", new Date(2026, 10, 22, 23, 59).toISOString())
  const afterMidnight = authorshipOf("ada", "Ada", new Date(2026, 10, 23, 0, 1).toISOString())

  assert.equal(startsNewDay(beforeMidnight, afterMidnight), true)
  assert.equal(continuesGroup(beforeMidnight, afterMidnight), false)
  assert.equal(startsNewDay(undefined, afterMidnight), true)
  assert.equal(startsNewDay(atMinute(0), atMinute(30)), false)
})

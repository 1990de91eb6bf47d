// Formatting times.

import assert from "node:assert/strict"
import { test } from "node:test"

import { formatDay, formatFullTime, formatTime, localDay } from "../../static/js/lib/time.js"

test("times are shown in the time zone of the reader", () => {
  const timestamp = new Date(2026, 10, 22, 23, 30).toISOString()

  assert.equal(localDay(timestamp), "2026-11-22")
  assert.match(formatTime(timestamp), /30/)
  assert.match(formatDay(timestamp), /2026/)
  assert.ok(formatFullTime(timestamp).length > formatDay(timestamp).length)
})

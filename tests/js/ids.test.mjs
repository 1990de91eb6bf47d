// Random ids.

import assert from "node:assert/strict"
import { test } from "node:test"

import { randomId } from "../../static/js/lib/ids.js"

test("ids are different, and have the form that the server accepts", () => {
  const ids = Array.from({ length: 1000 }, randomId)

  assert.equal(new Set(ids).size, 1000)
  for (const id of ids) assert.match(id, /^[A-Za-z0-9_-]{22}$/)
})

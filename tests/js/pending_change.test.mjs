// Own changes to a message that are not stored yet.

import assert from "node:assert/strict"
import { test } from "node:test"

import { applyPendingChange } from "../../static/js/state/pending_change.js"
import { row } from "./fakes.mjs"

function react(on) {
  return { event: "react", emoji: "👍", on, mark: "me", message: "", timestamp: "now" }
}

test("a reaction is added once, and removed without those of others", () => {
  const reacted = applyPendingChange(row(1, { reactions: { "👍": ["b"] } }), react(true))

  assert.deepEqual(reacted.reactions, { "👍": ["b", "me"] })
  assert.deepEqual(applyPendingChange(reacted, react(true)).reactions, { "👍": ["b", "me"] })
  assert.deepEqual(applyPendingChange(reacted, react(false)).reactions, { "👍": ["b"] })
})

test("an emoji without reactions is removed", () => {
  const reacted = applyPendingChange(row(1), react(true))

  assert.deepEqual(applyPendingChange(reacted, react(false)).reactions, {})
})

test("a deletion erases text, name, mark and reactions, as the server does", () => {
  const original = row(1, { id: "one", reactions: { "👍": ["b"] }, edited: "then" })

  const deleted = applyPendingChange(original, { event: "delete", seq: 1 })

  assert.deepEqual(JSON.parse(JSON.stringify(deleted)), {
    ...row(1, { id: "one", edited: "then" }),
    handle: "",
    mark: "",
    message: "",
    deleted: true,
  })
})

test("a deleted message is not changed", () => {
  const deleted = row(1, { deleted: true })

  assert.deepEqual(applyPendingChange(deleted, react(true)), deleted)
})

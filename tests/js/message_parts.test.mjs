// The preview of a message, and which messages are collapsed.

import assert from "node:assert/strict"
import { test } from "node:test"

import { isLong, previewText, setFace } from "../../static/js/view/message_parts.js"
import { row } from "./fakes.mjs"

test("the preview of a message is its first line", () => {
  assert.equal(previewText(row(1, { message: "\n one \ntwo" })), "one ")
  assert.equal(previewText(row(1, { deleted: true })), "Message deleted")
  assert.equal(previewText(undefined), "Earlier message")
})

test("the initial of a name is what a reader takes for one character", () => {
  for (const [name, initial] of [
    ["🇩🇪 Ana", "🇩🇪"],
    [" 👨‍👩‍👧", "👨‍👩‍👧"],
    ["A\u0301da", "A\u0301"],
    ["👍🏽👍", "👍🏽"],
    ["", ""],
  ]) {
    const avatar = { dataset: {} }
    setFace(avatar, { hue: "1", name })
    assert.equal(avatar.dataset.initial, initial)
  }
})

test("messages of more than 25 lines or 2,000 characters are long", () => {
  assert.equal(isLong(Array(25).fill("x").join("\n")), false)
  assert.equal(isLong(Array(26).fill("x").join("\n")), true)
  assert.equal(isLong("x".repeat(2000)), false)
  assert.equal(isLong("x".repeat(2001)), true)
})

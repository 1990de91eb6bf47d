// What people are told about the actions of hosts.

import assert from "node:assert/strict"
import { test } from "node:test"

import { keptText } from "../../static/js/lib/durations.js"
import { audienceText, muteText, refusalText } from "../../static/js/lib/moderation_text.js"

const NOW = Date.UTC(2026, 10, 22, 9)
const MESSAGE = "A sentence of the server."

test("a banned person is told who has banned them, if that is known", () => {
  const known = { message: MESSAGE, rejoinAt: 0 }

  assert.equal(
    refusalText("banned", { ...known, host: "Hana" }),
    "Hana has banned you from this room.",
  )
  assert.equal(refusalText("banned", known), "A host has banned you from this room.")
})

test("a removed person is told when they can come back", () => {
  const text = refusalText("removed", { message: MESSAGE, host: "Hana", rejoinAt: NOW })

  assert.match(text, /^Hana has removed you from this room\. You can come back at \d/)
  assert.equal(refusalText("removed", { message: MESSAGE, rejoinAt: 0 }), MESSAGE)
})

test("other refusals have the sentence of the server", () => {
  assert.equal(refusalText("not_found", { message: MESSAGE, rejoinAt: 0 }), MESSAGE)
})

test("a mute has an end, or none", () => {
  assert.match(muteText("Hana", NOW + 60_000, NOW), /^Hana has muted you until \d/)
  assert.equal(muteText("", Infinity, NOW), "A host has muted you. You can read, but not post.")
})

test("how long messages are kept follows the expiry of the room", () => {
  assert.equal(keptText(0), "Messages are kept until their author or a host deletes them.")
  assert.equal(keptText(86_400), "Messages disappear after 24 hours.")
})

test("who can read and post depends on the password and the lock", () => {
  const open = { hasPassword: false, isLocked: false }

  assert.equal(audienceText(open), "Anyone with the link can read and post messages.")
  assert.equal(
    audienceText({ ...open, hasPassword: true }),
    "Anyone with the link and the password can read and post messages.",
  )
  assert.equal(
    audienceText({ ...open, isLocked: true }),
    "Anyone with the link can read messages. Only hosts can post.",
  )
})

// The commands that begin with a slash.

import assert from "node:assert/strict"
import { test } from "node:test"

import { parseInput } from "../../static/js/view/commands.js"

test("a slash and a known word are a command", () => {
  assert.deepEqual(parseInput("/nick Ada Lovelace "), {
    command: "nick",
    argument: "Ada Lovelace",
  })
  assert.deepEqual(parseInput("/WHO"), { command: "who", argument: "" })
})

test("two slashes, a path, and a slash inside a text are messages", () => {
  assert.deepEqual(parseInput("//nick"), { message: "/nick" })
  assert.deepEqual(parseInput("/usr/bin"), { message: "/usr/bin" })
  assert.deepEqual(parseInput("hello /nick"), { message: "hello /nick" })
})

test("/me sets each line in italics", () => {
  const { message } = parseInput("/me waves\n\n at *Ben*")

  assert.equal(message, "*waves*\n\n *at *Ben**")
})

test("an unknown command and /me without an action are errors", () => {
  assert.deepEqual(parseInput("/me "), { error: "Add an action, for example: /me waves" })
  assert.deepEqual(parseInput("/dance now"), { error: "There is no command /dance." })
})

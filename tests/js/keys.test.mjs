// The letters of keyboard shortcuts, in all keyboard layouts.

import assert from "node:assert/strict"
import { test } from "node:test"

import { latinLetter } from "../../static/js/lib/keys.js"

test("a Latin letter is the one that is printed on the key", () => {
  assert.equal(latinLetter({ key: "r", code: "KeyR" }), "r")
  assert.equal(latinLetter({ key: "r", code: "KeyO" }), "r") // Dvorak
  assert.equal(latinLetter({ key: "p", code: "KeyR" }), "p")
})

test("Caps Lock and Shift make no difference", () => {
  assert.equal(latinLetter({ key: "R", code: "KeyR" }), "r")
  assert.equal(latinLetter({ key: "К", code: "KeyR" }), "r")
})

test("in layouts of other scripts, the place of the key decides", () => {
  assert.equal(latinLetter({ key: "к", code: "KeyR" }), "r") // Russian
  assert.equal(latinLetter({ key: "ρ", code: "KeyR" }), "r") // Greek
  assert.equal(latinLetter({ key: "ק", code: "KeyE" }), "e") // Hebrew
  assert.equal(latinLetter({ key: "ा", code: "KeyE" }), "e") // Hindi: a combining vowel sign
})

test("other keys have no letter", () => {
  assert.equal(latinLetter({ key: "Enter", code: "Enter" }), "")
  assert.equal(latinLetter({ key: "Dead", code: "KeyE" }), "")
  assert.equal(latinLetter({ key: "'", code: "KeyQ" }), "") // Dvorak
  assert.equal(latinLetter({ key: "é", code: "Digit2" }), "") // French
  assert.equal(latinLetter({ key: "э", code: "Quote" }), "") // Russian
})

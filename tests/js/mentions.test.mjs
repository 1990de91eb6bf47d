// Whether a text mentions a name.

import assert from "node:assert/strict"
import { test } from "node:test"

import { mentionsName } from "../../static/js/lib/mentions.js"

for (const text of ["Ann, look", "so says @ann", "(ANN)", "Hannah and Ann"]) {
  test(`“${text}” mentions Ann`, () => {
    assert.equal(mentionsName(text, "Ann"), true)
  })
}

for (const text of ["Hannah", "annals", "Ännann", "", "Ann_1 and anne\u0301"]) {
  test(`“${text}” does not mention Ann`, () => {
    assert.equal(mentionsName(text, "Ann"), false)
  })
}

for (const [text, name] of [
  ["привет, Зоя!", "зоя"],
  ["frau strasse?", "Straße"],
  ["cafe\u0301 society", "Café"],
  ["a+b (c)", "B (C)"],
  ["你好李雷吗", "李雷"],
]) {
  test(`“${text}” mentions ${name}`, () => {
    assert.equal(mentionsName(text, name), true)
  })
}

test("a blank name is never mentioned, and a name is no pattern", () => {
  assert.equal(mentionsName("anything", "  "), false)
  assert.equal(mentionsName("ax", "a."), false)
})

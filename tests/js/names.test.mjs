// Comparing the names of people.

import assert from "node:assert/strict"
import { test } from "node:test"

import {
  confusableNames,
  nameSkeleton,
  normalizeName,
  withoutSuggestion,
} from "../../static/js/lib/names.js"

/** The names that clash among people, each given by mark and name. */
function clashing(...people) {
  return [...confusableNames(people.map(([mark, name]) => ({ mark, name })))].sort()
}

const isLike = (name, other) => clashing(["a", name], ["b", other]).length === 2

test("names are compared without accents, case and surrounding spaces", () => {
  assert.equal(normalizeName(" Ångström "), "angstrom")
})

test("names that look alike have the same skeleton", () => {
  assert.equal(nameSkeleton("Bill 0"), nameSkeleton("bI|l O"))
  assert.notEqual(nameSkeleton("Ada"), nameSkeleton("Ben"))
  assert.equal(nameSkeleton("Ad\u0430"), nameSkeleton("Ada"), "with a Cyrillic letter")
  assert.equal(nameSkeleton("\u0391d\u0430"), nameSkeleton("Ada"), "and a Greek one")
})

test("invisible characters and spaces do not make a name another one", () => {
  const invisible = [
    "\u200c",
    "\u200d",
    "\u00ad",
    "\u2060",
    "\u034f",
    "\ufe0f",
    "\u{e0061}",
    "\u3164",
  ]
  for (const character of invisible) {
    assert.equal(nameSkeleton(`A${character}da${character}`), nameSkeleton("Ada"))
  }
  assert.equal(nameSkeleton("Ada \u00a0 Lovelace"), nameSkeleton("Ada Lovelace"))
})

test("letters that look like others do not make a name another one", () => {
  const pairs = ["Marie Mar\u0131e", "S\u00f8ren Soren", "\u0141ukasz Lukasz", "Brian Bri\uff41n"]
  for (const pair of [...pairs, "modern modem", "William vvilliam"]) {
    const [name, other] = pair.split(" ")
    assert.equal(nameSkeleton(name), nameSkeleton(other), pair)
  }
  for (const name of ["\u0251da", "\u13aada", "\u0555da", "\ua4d0da", "\u1d00da", "\u0436da"]) {
    assert.ok(isLike("Ada", name) || isLike("Oda", name), name)
  }
})

test("names of other languages are distinguished", () => {
  const names = [
    "\u5f20\u4f1f",
    "\u674e\u5a1c",
    "\u0645\u062d\u0645\u062f",
    "\u05d3\u05d5\u05d3",
    "Gro\u00df",
    "\u00c6gir",
    "Ada",
    "Ben",
    "\u0411\u043e\u0440\u0438\u0441",
    "\u0418\u0432\u0430\u043d",
    "\u0395\u03bb\u03ad\u03bd\u03b7",
    "\u0531\u0576\u056b",
  ]
  assert.equal(new Set(names.map(nameSkeleton)).size, names.length)
  assert.deepEqual(clashing(...names.map((name, index) => [String(index), name])), [])
})

// Who has a name that is confused with another one

test("only names that somebody else has, or that look alike, clash", () => {
  assert.deepEqual(clashing(["a", "Ada"], ["b", "Ben"], ["c", "ADA"], ["d", "Cy"]), ["ADA", "Ada"])
  assert.deepEqual(clashing(["a", "Ada"], ["b", "Ad\u0430"], ["c", "Ben"]), ["Ada", "Ad\u0430"])
})

test("one person with several names or several messages clashes with nobody", () => {
  assert.deepEqual(clashing(["a", "Ada"], ["a", "Ada"], ["a", "ada"], ["b", "Ben"]), [])
})

test("people without a name, and deleted messages, clash with nobody", () => {
  assert.deepEqual(clashing(["a", ""], ["b", ""], ["", "Ada"], ["c", "Ada"]), [])
})

test("a letter that may look like any other clashes with the names that differ in it only", () => {
  const name = "B\u0251n"
  assert.deepEqual(
    clashing(["a", "Ben"], ["b", name], ["c", "Bern"], ["d", "Ada"]),
    [name, "Ben"].sort(),
  )
})

test("20,000 names are compared in a few seconds", () => {
  const people = Array.from({ length: 20_000 }, (_, index) => [`mark ${index}`, `Ada ${index}`])
  const ambiguousName = "Ad\u0251 19998"

  const started = performance.now()
  const names = clashing(...people, ["other", ambiguousName])
  assert.ok(performance.now() - started < 5000)
  assert.ok(names.includes(ambiguousName))
  assert.ok(names.includes("Ada 19998"))
})

test("beside a button with the free name, the sentence does not suggest it again", () => {
  const message = 'The name "Ada" is taken in this room. Use "Ada 2"?'

  assert.equal(withoutSuggestion(message, "Ada 2"), 'The name "Ada" is taken in this room.')
})

// Comparing the names of people.

import assert from "node:assert/strict"
import { test } from "node:test"

import { nameSkeleton, normalizeName } from "../../static/js/lib/names.js"

test("names are compared without accents, case and surrounding spaces", () => {
  assert.equal(normalizeName(" Ångström "), "angstrom")
})

test("names that look alike have the same skeleton", () => {
  assert.equal(nameSkeleton("Bill 0"), nameSkeleton("bI|l O"))
  assert.notEqual(nameSkeleton("Ada"), nameSkeleton("Ben"))
  assert.equal(nameSkeleton("Ad\u0430"), "", "a Cyrillic letter may look like a Latin one")
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
  for (const name of ["\u0251da", "\u13aada", "\u0555da", "\ua4d0da", "\u1d00da"]) {
    assert.equal(nameSkeleton(name), "", name)
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
  ]
  assert.equal(new Set(names.map(nameSkeleton)).size, names.length)
  assert.ok(!names.map(nameSkeleton).includes(""))
})

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

import assert from "node:assert/strict"
import { test } from "node:test"

import { Preferences } from "../../static/js/state/preferences.js"
import { PersonHues } from "../../static/js/state/person_hues.js"
import { fakeGetStorage } from "./fakes.mjs"

const ME = "eeeeeeeeeeeeeeee"

/** @param {number} number */
function markOf(number) {
  return String(number).padStart(10, "0").padEnd(16, "f")
}

/** @param {ReturnType<typeof fakeGetStorage>} [getStorage] */
function createHues(getStorage = fakeGetStorage()) {
  const preferences = new Preferences(getStorage, new EventTarget())
  return new PersonHues("kitchen", { preferences, getOwnMark: () => ME })
}

test("twenty people have twenty colors, in the order in which they appear", () => {
  const hues = createHues()
  const rows = Array.from({ length: 20 }, (_, number) => ({ mark: markOf(number) }))
  hues.learn(rows)
  const found = rows.map(({ mark }) => hues.hueOf(mark))
  assert.deepEqual(
    found,
    rows.map((_, number) => String(number)),
  )
})

test("a person keeps the color when the first messages are not loaded any more", () => {
  const getStorage = fakeGetStorage()
  const first = createHues(getStorage)
  first.learn([{ mark: markOf(1) }, { mark: markOf(2) }])

  const later = createHues(getStorage)
  later.learn([{ mark: markOf(3) }, { mark: markOf(2) }])

  assert.equal(later.hueOf(markOf(2)), "1")
  assert.equal(later.hueOf(markOf(3)), "2")
})

test("those who only react get a color after the authors; oneself and nobody get none", () => {
  const hues = createHues()
  hues.learn([
    { mark: ME, reactions: { "👍": [markOf(5), ME] } },
    { mark: "", deleted: true },
    { mark: markOf(4) },
  ])
  assert.equal(hues.hueOf(markOf(4)), "0")
  assert.equal(hues.hueOf(markOf(5)), "1")
  assert.equal(hues.hueOf(ME), "own")
  assert.equal(hues.hueOf(""), "")
})

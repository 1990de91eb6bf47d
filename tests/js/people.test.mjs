// Who is in the room, and the names of people.

import assert from "node:assert/strict"
import { test } from "node:test"

import { People } from "../../static/js/state/people.js"
import { row } from "./fakes.mjs"

const ADA = { mark: "a", handle: "Ada" }
const BEN = { mark: "b", handle: "Ben" }
const CY = { mark: "c", handle: "Cy" }

const presentNames = (people) => people.present.map(({ name }) => name)
const suggestedNames = (people, prefix) => people.suggest(prefix, "me").map(({ name }) => name)

function update(state, changes) {
  return { state, here: [], gone: [], count: 0, ...changes }
}

function joined(...present) {
  const people = new People()
  people.reset({ people: present, count: present.length, state: 7 })
  return people
}

test("updates are applied to the people in the answer to join, each once", () => {
  const people = joined(BEN, { mark: "a" })
  people.applyPresence(update(8, { here: [CY], count: 3 }))
  people.applyPresence(update(8, { gone: ["c"], count: 2 }))
  people.applyPresence(update(9, { gone: ["b"], count: 2 }))

  assert.deepEqual(presentNames(people), ["Cy", ""])
  assert.equal(people.count, 2)
  assert.equal(people.summary, "2 people here")
})

test("updates before the answer to join are applied after it, if they are newer", () => {
  const people = new People()
  people.applyPresence(update(7, { here: [{ mark: "x", handle: "old" }] }))
  people.applyPresence(update(8, { here: [CY], count: 2 }))
  people.reset({ people: [BEN], state: 7 })

  assert.deepEqual(presentNames(people), ["Ben", "Cy"])
})

test("after a reconnect another worker may count its updates from 1", () => {
  const people = joined(BEN)
  people.disconnect()
  people.reset({ people: [BEN], state: 1 })
  people.applyPresence(update(2, { here: [CY], count: 2, partial: true }))

  assert.deepEqual(presentNames(people), ["Ben", "Cy"])
  assert.equal(people.isPartial, true)
})

test("a complete update replaces all people", () => {
  const people = joined(BEN)
  people.applyPresence(update(8, { here: [CY], count: 1, all: true }))

  assert.deepEqual(presentNames(people), ["Cy"])
  assert.equal(people.summary, "1 person here")
})

test("the latest name in messages counts, and the one after a rename", () => {
  const people = joined(BEN)
  people.learnNames([
    row(1, { mark: "b", handle: "Benny" }),
    row(2, { mark: "b", handle: "Benny", kind: "rename", message: "Benjamin" }),
  ])
  people.learnNames([row(3, { mark: "b", handle: "", kind: "title", message: "Supper" })])

  assert.equal(people.nameOf("b"), "Benjamin")
})

test("people in the room are suggested before others, by any word, without accents", () => {
  const people = joined({ mark: "me", handle: "Bo" }, { mark: "z", handle: "Zoë Brontë" })
  people.learnNames([
    row(1, { mark: "b", handle: "Ben" }),
    row(2, { mark: "me", handle: "Bo" }), // oneself is never suggested
  ])

  assert.deepEqual(suggestedNames(people, "b"), ["Zoë Brontë", "Ben"])
  assert.deepEqual(suggestedNames(people, "ZOE"), ["Zoë Brontë"])
  assert.deepEqual(suggestedNames(people, "ro"), [])
})

test("a free name is suggested when somebody else in the room has the name", () => {
  const people = joined(ADA, { mark: "b", handle: "ADÁ 2" })

  assert.equal(people.alternativeName("ada", "me", 64), "ada 3")
  assert.equal(people.alternativeName("Ada", "a", 64), "")
  assert.equal(people.alternativeName("Cy", "me", 64), "")
  assert.equal(people.alternativeName(" ", "me", 64), "")
})

test("a suggested name is not longer than the server allows, and ends with a whole character", () => {
  const long = `${"x".repeat(61)}👍👍👍`
  const people = joined({ mark: "a", handle: long }, { mark: "b", handle: "🇩🇪🇩🇪 " })

  assert.equal(people.alternativeName(long, "me", 64), `${"x".repeat(61)}👍 2`)
  assert.equal(people.alternativeName("🇩🇪🇩🇪", "me", 5), "🇩🇪 2")
})

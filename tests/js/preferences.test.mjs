// What the browser remembers: preferences, visited rooms and ignored people.

import assert from "node:assert/strict"
import { test } from "node:test"

import { IgnoredPeople } from "../../static/js/state/ignored_people.js"
import { Preferences } from "../../static/js/state/preferences.js"
import { RecentRooms } from "../../static/js/state/recent_rooms.js"
import { FakeStorage, fakeGetStorage, fakePreferences, flushPromises } from "./fakes.mjs"

const visit = (label) => ({ label, name: "", at: 0 })
/** The preferences of two tabs of one browser. */
function openTwoTabs() {
  const storage = new FakeStorage()
  return [storage.openTab(), storage.openTab()].map(
    ({ getStorage, storageEvents }) => new Preferences(getStorage, storageEvents),
  )
}

const labels = (recentRooms) => recentRooms.all().map(({ label }) => label)

test("without storage, preferences last as long as the page", () => {
  const preferences = fakePreferences(() => {
    throw new Error("The operation is insecure.")
  })
  preferences.set("name", "Ada")

  assert.equal(preferences.get("name"), "Ada")
  assert.equal(preferences.get("token"), null)
})

test("preferences are stored as JSON under confab:", () => {
  const storage = new FakeStorage()
  const { getStorage } = storage.openTab()
  fakePreferences(getStorage).set("name", "Ada")

  assert.deepEqual([...storage.entries], [["confab:name", '"Ada"']])
})

test("everything that Confab has stored can be deleted, and nothing else", () => {
  const storage = new FakeStorage()
  const { getStorage } = storage.openTab()
  const preferences = fakePreferences(getStorage)
  for (let number = 0; number < 20; number += 1) preferences.set(`draft:room-${number}`, "hello")
  storage.entries.set("confab:outbox:kitchen:id", "{}")
  storage.entries.set("other", "stays")

  preferences.deleteAll()

  assert.deepEqual([...storage.entries.keys()], ["other"])
  assert.equal(preferences.get("draft:room-1"), null)
})

test("other tabs learn that a value was stored or removed", async () => {
  const [first, second] = openTwoTabs()
  const values = []
  for (const each of [first, second]) {
    each.onChangedElsewhere("forgotten", (value) => values.push(value))
  }

  first.set("other", true)
  first.set("forgotten", true)
  first.deleteAll()
  await flushPromises()

  assert.deepEqual(values, [true, null])
})

test("a value that could not be stored gives way to the one of another tab", async () => {
  const storage = new FakeStorage()
  const [first, second] = [storage.openTab(), storage.openTab()].map(
    ({ getStorage, storageEvents }) => new Preferences(getStorage, storageEvents),
  )
  storage.isFull = true
  second.set("theme", "dark")
  storage.isFull = false
  first.set("theme", "light")
  await flushPromises()

  assert.equal(second.get("theme"), "light")
})

test("values that could not be stored are deleted too", () => {
  const preferences = fakePreferences(() => {
    throw new Error("The operation is insecure.")
  })
  preferences.set("name", "Ada")

  preferences.deleteAll()

  assert.equal(preferences.get("name"), null)
})

test("visited rooms are listed once, the latest first", () => {
  const recentRooms = new RecentRooms(fakePreferences())
  for (const label of ["kitchen", "cellar", "kitchen"]) recentRooms.add(visit(label))

  assert.deepEqual(labels(recentRooms), ["kitchen", "cellar"])
})

test("thirty visited rooms are kept, and one can be removed", () => {
  const recentRooms = new RecentRooms(fakePreferences())
  for (let number = 0; number < 40; number += 1) recentRooms.add(visit(`room-${number}`))
  recentRooms.add(visit("room-20"))
  recentRooms.remove("room-39")

  assert.equal(labels(recentRooms).length, 29)
  assert.deepEqual(labels(recentRooms).slice(0, 2), ["room-20", "room-38"])
})

test("invalid entries in storage are ignored", () => {
  const getStorage = fakeGetStorage()
  const recentRooms = new RecentRooms(fakePreferences(getStorage))
  getStorage().setItem("confab:rooms", "{not json")
  assert.deepEqual(recentRooms.all(), [])

  getStorage().setItem("confab:rooms", '[null, {"label": 7}, {"label": "kitchen"}]')
  assert.deepEqual(recentRooms.all(), [{ label: "kitchen" }])
})

test("people stay ignored after a reload, in one room only", () => {
  const preferences = fakePreferences()
  const ignoredPeople = new IgnoredPeople("kitchen", preferences)
  ignoredPeople.toggle("b", "Ben")
  ignoredPeople.toggle("constructor", "Cy")
  ignoredPeople.toggle("constructor", "Cy")

  assert.deepEqual(new IgnoredPeople("kitchen", preferences).all, { b: "Ben" })
  assert.equal(new IgnoredPeople("garden", preferences).has("b"), false)
  assert.equal(ignoredPeople.has("toString"), false)
})

test("whoever is ignored in one tab is ignored in the others", async () => {
  const [first, second] = openTwoTabs().map(
    (preferences) => new IgnoredPeople("kitchen", preferences),
  )
  let changeCount = 0
  second.addEventListener("change", () => (changeCount += 1))
  assert.equal(second.has("b"), false)

  first.toggle("b", "Ben")
  await flushPromises()
  assert.equal(second.has("b"), true)
  assert.equal(changeCount, 1)

  second.toggle("c", "Cy")
  await flushPromises()
  assert.deepEqual(first.all, { b: "Ben", c: "Cy" })
})

test("a tab that has heard of nothing yet does not bring back whom another one no longer ignores", () => {
  const [first, second] = openTwoTabs().map(
    (preferences) => new IgnoredPeople("kitchen", preferences),
  )
  first.toggle("b", "Ben")
  assert.equal(second.has("b"), true)
  first.toggle("b", "Ben")
  second.toggle("c", "Cy") // before the event of the first tab has come

  assert.deepEqual(first.all, { c: "Cy" })
})

test("the list of rooms in another tab changes, and a removed room does not come back", async () => {
  const [first, second] = openTwoTabs().map((preferences) => new RecentRooms(preferences))
  let changeCount = 0
  second.addEventListener("change", () => (changeCount += 1))
  first.add(visit("kitchen"))
  first.add(visit("cellar"))
  await flushPromises()
  assert.equal(changeCount, 2)
  assert.deepEqual(labels(second), ["cellar", "kitchen"])

  first.remove("kitchen")
  second.rename("kitchen", "Supper") // the room is open in the second tab
  second.rename("cellar", "Wine")

  assert.deepEqual(first.all(), [{ label: "cellar", name: "Wine", at: 0 }])
})

// What the browser remembers: preferences, visited rooms, ignored people and drafts.

import assert from "node:assert/strict"
import { test } from "node:test"

import { Drafts } from "../../static/js/state/drafts.js"
import { IgnoredPeople } from "../../static/js/state/ignored_people.js"
import { Preferences } from "../../static/js/state/preferences.js"
import { RecentRooms } from "../../static/js/state/recent_rooms.js"
import { FakeClock, FakeStorage, fakeGetStorage, flushPromises } from "./fakes.mjs"

const visit = (label) => ({ label, name: "", at: 0 })
const labels = (recentRooms) => recentRooms.all().map(({ label }) => label)

test("without storage, preferences last as long as the page", () => {
  const preferences = new Preferences(() => {
    throw new Error("The operation is insecure.")
  })
  preferences.set("name", "Ada")

  assert.equal(preferences.get("name"), "Ada")
  assert.equal(preferences.get("token"), null)
})

test("preferences are stored as JSON under confab:", () => {
  const storage = new FakeStorage()
  const { getStorage } = storage.openTab()
  new Preferences(getStorage).set("name", "Ada")

  assert.deepEqual([...storage.entries], [["confab:name", '"Ada"']])
})

test("everything that Confab has stored can be deleted, and nothing else", () => {
  const storage = new FakeStorage()
  const { getStorage } = storage.openTab()
  const preferences = new Preferences(getStorage)
  for (let number = 0; number < 20; number += 1) preferences.set(`draft:room-${number}`, "hello")
  storage.entries.set("confab:outbox:kitchen:id", "{}")
  storage.entries.set("other", "stays")

  preferences.deleteAll()

  assert.deepEqual([...storage.entries.keys()], ["other"])
  assert.equal(preferences.get("draft:room-1"), null)
})

test("other tabs learn that a value was stored, and not that it was deleted", async () => {
  const storage = new FakeStorage()
  const [ada, ben] = [storage.openTab(), storage.openTab()].map(
    ({ getStorage, storageEvents }) => new Preferences(getStorage, storageEvents),
  )
  let count = 0
  for (const each of [ada, ben]) each.onStoredElsewhere("forgotten", () => (count += 1))

  ada.set("other", true)
  ada.set("forgotten", true)
  ada.deleteAll()
  await flushPromises()

  assert.equal(count, 1)
})

test("values that could not be stored are deleted too", () => {
  const preferences = new Preferences(() => {
    throw new Error("The operation is insecure.")
  })
  preferences.set("name", "Ada")

  preferences.deleteAll()

  assert.equal(preferences.get("name"), null)
})

test("visited rooms are listed once, the latest first", () => {
  const recentRooms = new RecentRooms(new Preferences(fakeGetStorage()))
  for (const label of ["kitchen", "cellar", "kitchen"]) recentRooms.add(visit(label))

  assert.deepEqual(labels(recentRooms), ["kitchen", "cellar"])
})

test("thirty visited rooms are kept, and one can be removed", () => {
  const recentRooms = new RecentRooms(new Preferences(fakeGetStorage()))
  for (let number = 0; number < 40; number += 1) recentRooms.add(visit(`room-${number}`))
  recentRooms.add(visit("room-20"))
  recentRooms.remove("room-39")

  assert.equal(labels(recentRooms).length, 29)
  assert.deepEqual(labels(recentRooms).slice(0, 2), ["room-20", "room-38"])
})

test("invalid entries in storage are ignored", () => {
  const getStorage = fakeGetStorage()
  const recentRooms = new RecentRooms(new Preferences(getStorage))
  getStorage().setItem("confab:rooms", "{not json")
  assert.deepEqual(recentRooms.all(), [])

  getStorage().setItem("confab:rooms", '[null, {"label": 7}, {"label": "kitchen"}]')
  assert.deepEqual(recentRooms.all(), [{ label: "kitchen" }])
})

test("people stay ignored after a reload, in one room only", () => {
  const preferences = new Preferences(fakeGetStorage())
  const ignoredPeople = new IgnoredPeople("kitchen", preferences)
  ignoredPeople.toggle("b", "Ben")
  ignoredPeople.toggle("constructor", "Cy")
  ignoredPeople.toggle("constructor", "Cy")

  assert.deepEqual(new IgnoredPeople("kitchen", preferences).all, { b: "Ben" })
  assert.equal(new IgnoredPeople("garden", preferences).has("b"), false)
  assert.equal(ignoredPeople.has("toString"), false)
})

test("a draft is saved after a short delay, or at once when the page closes", async () => {
  const clock = new FakeClock()
  const preferences = new Preferences(fakeGetStorage())
  const drafts = new Drafts("kitchen", { preferences, clock })
  drafts.saveSoon({ text: "hel" })
  drafts.saveSoon({ text: "hello" })
  assert.deepEqual(drafts.read(), { text: "" })
  await clock.advance(300)
  assert.deepEqual(drafts.read(), { text: "hello" })

  drafts.saveSoon({ text: "hello all", mode: null })
  drafts.saveNow()
  assert.deepEqual(drafts.read(), { text: "hello all", mode: null })
})

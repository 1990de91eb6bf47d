// The data of a person: deleting in steps, reporting, and forgetting a room in this browser.

import assert from "node:assert/strict"
import { beforeEach, test } from "node:test"

import { eraseAll, loadSummary } from "../../static/js/net/own_data.js"
import { sendReport } from "../../static/js/net/reporting.js"
import { Preferences } from "../../static/js/state/preferences.js"
import {
  announceForgotten,
  announceLeft,
  forgetRoom,
  onForgottenElsewhere,
  onLeftElsewhere,
} from "../../static/js/state/room_memory.js"
import { FakeClock, FakeStorage, flushPromises } from "./fakes.mjs"

let clock
let requests
/** What the next requests are answered with. */
let answers

beforeEach(() => {
  clock = new FakeClock()
  requests = []
})

const json = (body, status = 200, headers = {}) => Response.json(body, { status, headers })

async function send(url, { body } = {}) {
  requests.push(`${url} ${body ?? ""}`.trim())
  const next = answers.shift()
  if (next instanceof Error) throw next
  return next
}

function erase() {
  const result = { progress: [] }
  const onProgress = (erased) => result.progress.push(erased)
  const fields = new URLSearchParams({ csrf: "token", confirm: "yes" })
  eraseAll("/delete", fields, { clock, onProgress, send }).then((isErased) => {
    result.isErased = isErased
  })
  return result
}

test("deleting goes on where the server has ended, and reports how much is deleted", async () => {
  answers = [
    json({ after: 40, erased: 30, done: false }),
    json({ after: 70, erased: 20, done: true }),
  ]

  const result = erase()
  await clock.advance(0)

  assert.deepEqual(requests, [
    "/delete csrf=token&confirm=yes",
    "/delete csrf=token&confirm=yes&after=40",
  ])
  assert.deepEqual(result, { progress: [30, 50], isErased: true })
})

test("deleting waits while the server is busy or a limit is reached", async () => {
  answers = [
    new Response("", { status: 429, headers: { "Retry-After": "20" } }),
    new Response("", { status: 503 }),
    json({ after: 70, erased: 1, done: true }),
  ]

  const result = erase()
  await clock.advance(19_999)
  assert.equal(requests.length, 1)
  await clock.advance(3001)

  assert.deepEqual(result, { progress: [1], isErased: true })
})

test("deleting ends when it is refused and when there is no connection", async () => {
  for (const answer of [new Response("", { status: 400 }), new TypeError("no connection")]) {
    answers = [json({ after: 40, erased: 30, done: false }), answer]

    const result = erase()
    await flushPromises()

    assert.equal(result.isErased, false)
  }
})

test("a summary that does not arrive is null", async () => {
  answers = [json({ summary: "You have 1 message.", is_empty: false }), json({}, 429), new Error()]

  assert.deepEqual(await loadSummary("/your-data", send), {
    summary: "You have 1 message.",
    is_empty: false,
  })
  assert.equal(await loadSummary("/your-data", send), null)
  assert.equal(await loadSummary("/your-data", send), null)
})

test("a report that is refused says why", async () => {
  const refusal = { ok: false, code: "rate_limited", message: "Too often." }
  answers = [new Response(null, { status: 204 }), json(refusal, 429), new Error()]
  const fields = new URLSearchParams({ reason: "rude" })

  assert.equal(await sendReport("/report", fields, send), "")
  assert.equal(await sendReport("/report", fields, send), "Too often.")
  assert.match(await sendReport("/report", fields, send), /could not be sent/)
})

test("forgetting a room leaves other rooms and the settings as they are", () => {
  const { getStorage, storageEvents } = new FakeStorage().openTab()
  const preferences = new Preferences(getStorage, storageEvents)
  for (const label of ["kitchen", "kitchen2"]) {
    for (const key of [`draft:${label}`, `draft:${label}:tab`, `outbox:${label}:id`]) {
      preferences.set(key, { text: "a draft" })
    }
    preferences.set(`read:${label}`, { seq: 1 })
    preferences.set(`lease:${label}`, { me: "ada", until: 1 })
  }
  preferences.set("rooms", [{ label: "kitchen" }, { label: "kitchen2" }])
  preferences.set("theme", "dark")
  preferences.set("name", "Ada")

  forgetRoom("kitchen", preferences)

  assert.deepEqual(preferences.keys("").sort(), [
    "draft:kitchen2",
    "draft:kitchen2:tab",
    "lease:kitchen2",
    "outbox:kitchen2:id",
    "read:kitchen2",
    "rooms",
    "theme",
  ])
  assert.deepEqual(preferences.get("rooms"), [{ label: "kitchen2" }])
})

test("other tabs learn what this tab has left and forgotten, and nothing of it is stored", async () => {
  const storage = new FakeStorage()
  const [one, two] = [storage.openTab(), storage.openTab()].map(
    ({ getStorage, storageEvents }) => new Preferences(getStorage, storageEvents),
  )
  const heard = []
  onLeftElsewhere("kitchen", two, () => heard.push("left the kitchen"))
  onLeftElsewhere("garden", two, () => heard.push("left the garden"))
  onForgottenElsewhere(two, () => heard.push("forgotten"))
  announceLeft("kitchen", one)
  announceForgotten(one)
  await flushPromises()

  assert.deepEqual(heard, ["left the kitchen", "forgotten"])
  assert.equal(storage.length, 0)
})

// Drafts: one for each tab, which is neither lost nor there twice.

import assert from "node:assert/strict"
import { beforeEach, test } from "node:test"

import { Drafts } from "../../static/js/state/drafts.js"
import { Preferences } from "../../static/js/state/preferences.js"
import { FakeClock, FakeLocks, FakeStorage, flushPromises } from "./fakes.mjs"

let clock
let locks
let storage

beforeEach(() => {
  clock = new FakeClock()
  locks = new FakeLocks()
  storage = new FakeStorage()
})

/** A tab of the browser, in which the page of a room is loaded and perhaps reloaded. */
class Tab {
  sessionStorage = new FakeStorage()

  load(label = "kitchen") {
    const { getStorage, storageEvents } = storage.openTab()
    const session = this.sessionStorage.openTab()
    this.drafts = new Drafts(label, {
      preferences: new Preferences(getStorage, storageEvents),
      tabPreferences: new Preferences(session.getStorage, session.storageEvents),
      clock,
      locks: this.#openLocks(),
    })
    this.text = this.drafts.read().text
    this.drafts.addEventListener("taken", () => (this.text = ""))
    return this
  }

  #openLocks() {
    this.locks?.end()
    this.locks = locks?.openPage()
    return this.locks
  }

  type(text, mode = null) {
    this.text = text
    this.drafts.saveSoon({ text, mode })
    this.drafts.saveNow()
    return this
  }

  send() {
    this.type("")
  }

  close() {
    this.drafts.leave()
  }

  reload() {
    this.close()
    return this.load()
  }

  /** The browser copies the sessionStorage of a tab into its duplicate. */
  duplicate() {
    const copy = new Tab()
    copy.sessionStorage.entries = new Map(this.sessionStorage.entries)
    return copy.load()
  }
}

test("a draft is saved after a short delay", async () => {
  const tab = new Tab().load()
  tab.drafts.saveSoon({ text: "hel" })
  tab.drafts.saveSoon({ text: "hello" })
  assert.equal(tab.drafts.read().text, "")
  await clock.advance(300)

  assert.equal(tab.drafts.read().text, "hello")
})

test("what is sent in one tab does not erase the draft of another", () => {
  const [first, second] = [new Tab().load(), new Tab().load()]
  first.type("half a thought")
  second.type("hello")
  second.send()

  assert.equal(first.reload().text, "half a thought")
  assert.equal(second.reload().text, "")
})

test("a draft survives the reload of its tab, with what it replies to", () => {
  const tab = new Tab().load()
  tab.type("because", { reply_to: 3, words: "Replying to Ben: why?" })
  tab.reload()

  const { text, mode } = tab.drafts.read()
  assert.equal(text, "because")
  assert.deepEqual(mode, { reply_to: 3, words: "Replying to Ben: why?" })
})

test("a new tab does not get the draft of a tab that is open", async () => {
  const first = new Tab().load().type("half a thought")
  assert.equal(new Tab().load().text, "")

  await clock.advance(10 * 60_000)
  first.drafts.suspend()
  assert.equal(new Tab().load().text, "")
  first.drafts.resume()
  assert.equal(first.text, "half a thought")
})

test("the draft of a closed tab goes to the next tab of the room, once", () => {
  new Tab().load().type("half a thought").close()

  assert.equal(new Tab().load("garden").text, "")
  const second = new Tab().load()
  assert.equal(second.text, "half a thought")
  assert.equal(new Tab().load().text, "")
  second.send()
  assert.equal(second.reload().text, "")
  assert.equal(new Tab().load().text, "")
})

test("of two closed tabs each draft is offered, the latest first", async () => {
  const [first, second] = [new Tab().load(), new Tab().load()]
  first.type("one")
  await clock.advance(1000)
  second.type("two")
  first.close()
  second.close()

  assert.equal(new Tab().load().text, "two")
  assert.equal(new Tab().load().text, "one")
})

test("the duplicate of a tab has no draft that could be sent twice", () => {
  const tab = new Tab().load().type("half a thought")
  const duplicate = tab.duplicate()
  assert.equal(duplicate.text, "")
  duplicate.type("hello").send()

  assert.equal(tab.reload().text, "half a thought")
})

for (const hasLocks of [true, false]) {
  const place = hasLocks ? "" : " over plain http"
  test(`a tab that the browser ends and loads again has its draft${place}`, async () => {
    if (!hasLocks) locks = undefined
    const tab = new Tab().load().type("half a thought")
    tab.drafts.suspend()
    tab.locks?.end()
    await flushPromises()
    tab.load()
    await flushPromises()

    assert.equal(tab.text, "half a thought")
    assert.equal(tab.reload().text, "half a thought")
  })
}

test("the duplicate of a tab in the background does not share its draft", async () => {
  const tab = new Tab().load().type("half a thought")
  await flushPromises()
  tab.drafts.suspend()
  const duplicate = tab.duplicate()
  await flushPromises()
  assert.equal(duplicate.text, "")
  duplicate.type("hello").send()
  await flushPromises()
  tab.drafts.resume()

  assert.equal(tab.text, "half a thought")
  assert.equal(tab.reload().text, "half a thought")
})

test("the duplicate of a tab that had no draft does not share a later one", async () => {
  const tab = new Tab().load()
  await flushPromises()
  tab.drafts.suspend()
  const duplicate = tab.duplicate()
  await flushPromises()
  tab.drafts.resume()
  tab.type("half a thought")
  duplicate.type("hello").send()
  await flushPromises()

  assert.equal(tab.text, "half a thought")
})

test("the duplicate of a tab without a draft keeps that of a closed tab", async () => {
  const tab = new Tab().load()
  const closed = new Tab().load().type("half a thought")
  await flushPromises()
  tab.drafts.suspend()
  closed.close()
  const duplicate = tab.duplicate()
  await flushPromises()

  assert.equal(duplicate.text, "half a thought")
})

test("what was typed in a duplicate at once stays there", async () => {
  const tab = new Tab().load().type("half a thought")
  await flushPromises()
  tab.drafts.suspend()
  const duplicate = tab.duplicate()
  duplicate.text = "half a thought, and more"
  duplicate.drafts.saveSoon({ text: duplicate.text })
  await flushPromises()

  assert.equal(duplicate.text, "half a thought, and more")
  assert.equal(duplicate.reload().text, "half a thought, and more")
  assert.equal(tab.reload().text, "half a thought")
})

test("the draft of a crashed tab goes to another one, which the tab would notice", async () => {
  const crashed = new Tab().load().type("half a thought")
  clock.sleep(6 * 60_000)
  assert.equal(new Tab().load().text, "half a thought")
  await flushPromises()

  assert.equal(crashed.text, "")
})

test("a tab from the cache of the browser does not show a draft that another one has taken", () => {
  const tab = new Tab().load().type("half a thought")
  tab.close()
  assert.equal(new Tab().load().text, "half a thought")
  tab.drafts.resume()

  assert.equal(tab.text, "")
})

test("the draft that an earlier release has stored for all tabs goes to the first one", () => {
  storage.entries.set("confab:draft:kitchen", JSON.stringify({ text: "old", mode: null }))

  assert.equal(new Tab().load().text, "old")
  assert.equal(new Tab().load().text, "")
  assert.equal(storage.entries.has("confab:draft:kitchen"), false)
})

test("no draft contains the text of a deleted message", () => {
  const tabs = [new Tab().load(), new Tab().load(), new Tab().load()]
  tabs[0].type("a secret", { edit: 1, text: "a secret", words: "Editing your message" })
  tabs[1].type("new words", { edit: 1, text: "a secret", words: "Editing your message" })
  tabs[2].type("why?", { reply_to: 1, words: "Replying to Ada: a secret" })
  for (const tab of tabs) tab.close()

  new Tab().load("garden").drafts.forgetMessages(new Set([1]))
  assert.ok([...storage.entries.values()].join().includes("a secret"), "of another room")
  const other = new Tab()
  other.load().drafts.forgetMessages(new Set([1]))

  assert.ok(!JSON.stringify([...storage.entries]).includes("a secret"))
  const texts = [other.text, new Tab().load().text, new Tab().load().text]
  assert.deepEqual(texts.sort(), ["", "new words", "why?"])
})

test("a message deleted in another tab does not take the changes typed since the draft was saved", async () => {
  const mode = { edit: 1, text: "a secret", words: "Editing your message" }
  const [tab, other] = [new Tab().load(), new Tab().load()]
  tab.type("a secret", mode)
  tab.text = "many words"
  tab.drafts.saveSoon({ text: tab.text, mode })
  other.drafts.forgetMessages(new Set([1]))
  assert.ok(!JSON.stringify([...storage.entries]).includes("a secret"))
  await clock.advance(300)

  assert.equal(tab.text, "many words")
  assert.equal(tab.reload().text, "many words")
})

for (const [kind, end] of Object.entries({
  closed: (tab) => tab.close(),
  crashed: () => clock.sleep(6 * 60_000),
})) {
  test(`the draft of a ${kind} tab that contained only a deleted text hides no other`, () => {
    const [other, earlier, tab] = [new Tab().load(), new Tab().load(), new Tab().load()]
    earlier.type("half a thought")
    tab.type("a secret", { edit: 1, text: "a secret", words: "Editing your message" })
    earlier.close()
    end(tab)
    other.drafts.forgetMessages(new Set([1]))
    const next = new Tab().load()

    assert.equal(next.text, "half a thought")
    next.send()
    assert.deepEqual([...storage.entries.keys()], [])
  })
}

test("a reloaded tab whose draft was only a deleted text gets the draft of a closed one", () => {
  const [other, earlier, tab] = [new Tab().load(), new Tab().load(), new Tab().load()]
  earlier.type("half a thought")
  tab.type("a secret", { edit: 1, text: "a secret", words: "Editing your message" })
  tab.drafts.suspend()
  other.drafts.forgetMessages(new Set([1]))
  earlier.close()

  assert.equal(tab.load().text, "half a thought")
})

test("a tab that does not know of a deletion yet does not store the deleted text again", async () => {
  const [tab, other] = [new Tab().load(), new Tab().load()]
  tab.type("a secret", { edit: 1, text: "a secret", words: "Editing your message" })
  other.drafts.forgetMessages(new Set([1]))
  await clock.advance(61_000)
  tab.drafts.resume()
  tab.close()

  assert.ok(!JSON.stringify([...storage.entries]).includes("a secret"))
})

test("over plain http, a duplicate that sends its text does not clear that of the original", async () => {
  locks = undefined
  const tab = new Tab().load().type("half a thought")
  clock.sleep(1000)
  tab.drafts.suspend()
  const duplicate = tab.duplicate()
  await flushPromises()
  tab.drafts.resume()
  clock.sleep(1000)
  tab.type("half a thought, and more")
  await flushPromises()
  duplicate.send()
  await flushPromises()

  assert.equal(tab.text, "half a thought, and more")
  assert.equal(tab.reload().text, "half a thought, and more")
})

test("the text from before an edit is kept when the edited message is deleted", () => {
  const [tab, other] = [new Tab().load(), new Tab().load()]
  const mode = { edit: 1, text: "a secret", words: "Editing your message" }
  tab.drafts.saveSoon({ text: "many words", mode, aside: "half" })
  tab.close()
  other.drafts.forgetMessages(new Set([1]))

  assert.equal(new Tab().load().text, "many words\nhalf")
})

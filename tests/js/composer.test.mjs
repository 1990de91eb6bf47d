// The composer: which text is stored as its draft, and what the button of a hint does.

import assert from "node:assert/strict"
import { beforeEach, test } from "node:test"

import { Composer } from "../../static/js/view/composer.js"
import { fakePreferences } from "./fakes.mjs"

globalThis.CSS = { supports: () => true }

/** As much of an element as the composer needs. */
class FakeElement extends EventTarget {
  hidden = false
  textContent = ""
  value = ""
  dataset = {}
  style = { setProperty() {} }

  focus() {}
  toggleAttribute() {}
}

class FakeForm extends FakeElement {
  #parts = new Map()
  elements = {
    handle: new FakeElement(),
    message: new FakeElement(),
    namedItem: (name) => this.elements[name],
  }

  querySelector(selector) {
    if (!this.#parts.has(selector)) this.#parts.set(selector, new FakeElement())
    return this.#parts.get(selector)
  }
}

class FakeDrafts extends EventTarget {
  saved = { text: "" }

  read() {
    return this.saved
  }

  saveSoon(draft) {
    this.saved = draft
  }

  saveNow() {}
}

let composer
let drafts
let form
let sent

beforeEach(() => {
  form = new FakeForm()
  form.elements.handle.value = "Ada"
  form.elements.message.dataset.maxCharacters = "10"
  drafts = new FakeDrafts()
  createComposer()
})

function createComposer() {
  composer = new Composer(form, {
    preferences: fakePreferences(),
    drafts,
    hasTouchKeyboard: true,
    getLastOwnRow: () => undefined,
  })
  sent = []
  composer.addEventListener("send", (event) => sent.push(event.detail))
}

function type(text, inputType = "insertText") {
  composer.field.value = text
  composer.field.dispatchEvent(Object.assign(new Event("input"), { inputType }))
}

function send() {
  form.dispatchEvent(new Event("submit", { cancelable: true }))
}

const endings = {
  "is sent": send,
  "is cancelled": () => composer.cancel(),
  "ends because its message was deleted": () => composer.forgetMessage(1),
}

for (const [ending, end] of Object.entries(endings)) {
  test(`when an edit ${ending}, the text from before is there and stored once`, () => {
    type("half")
    composer.edit(1, "hello")
    assert.equal(drafts.saved.aside, "half")
    end()
    assert.equal(composer.field.value, "half")
    assert.deepEqual(drafts.saved, { text: "half", mode: null, aside: "" })

    send()
    assert.deepEqual(drafts.saved, { text: "", mode: null, aside: "" })
  })
}

test("the text of a refused edit is there after the edit that is being typed", () => {
  type("half")
  composer.edit(1, "hello")
  type("hello, w")
  composer.returnText("refused", "The message was deleted.")

  assert.equal(composer.field.value, "hello, w")
  assert.equal(composer.targetSeq, 1)
  assert.equal(form.querySelector(".composer__hint-text").textContent, "The message was deleted.")
  assert.equal(drafts.saved.aside, "refused\nhalf")
  send()
  assert.equal(composer.field.value, "refused\nhalf")
})

const EDIT = { edit: 1, text: "hello", words: "Editing your message" }
for (const [draft, expected] of [
  [{ text: "half" }, { text: "half\nearly", mode: null, aside: "" }],
  [{ text: "" }, { text: "early", mode: null, aside: "" }],
  [{ text: "early" }, { text: "early", mode: null, aside: "" }],
  [
    { text: "hello, w", mode: EDIT, aside: "half" },
    { text: "hello, w", mode: EDIT, aside: "half\nearly" },
  ],
]) {
  test(`what was typed before the scripts were loaded is kept beside ${JSON.stringify(draft)}`, () => {
    form = new FakeForm()
    form.elements.message.dataset.maxCharacters = "10"
    form.elements.message.value = "early"
    drafts.saved = draft
    createComposer()

    assert.equal(composer.field.value, expected.text)
    assert.deepEqual(drafts.saved, expected)
  })
}

test("a draft that another tab has taken is not stored again", () => {
  type("half")
  composer.edit(1, "hello")
  drafts.dispatchEvent(new Event("taken"))

  assert.deepEqual(drafts.saved, { text: "", mode: null, aside: "" })
})

const LONG_TEXT = "one two three four"
const changesOfMode = {
  "an edit begins": () => composer.edit(1, "hello"),
  "a reply begins": () => composer.reply(1, "Replying to Ben: why?"),
  "another tab takes the draft": () => drafts.dispatchEvent(new Event("taken")),
}

function hintAction() {
  return form.querySelector(".composer__hint-action")
}

for (const [event, change] of Object.entries(changesOfMode)) {
  test(`the offer to send a long text in parts ends when ${event}`, () => {
    type(LONG_TEXT, "insertFromPaste")
    assert.equal(hintAction().textContent, "Send as 2 messages")
    change()
    hintAction().dispatchEvent(new Event("click"))

    assert.equal(hintAction().hidden, true)
    assert.deepEqual(sent, [])
  })
}

test("the offer to send a command as text ends when a reply is cancelled", () => {
  composer.reply(1, "Replying to Ben: why?")
  type("/unknown")
  send()
  assert.equal(hintAction().textContent, "Send as text")
  composer.cancel()
  hintAction().dispatchEvent(new Event("click"))

  assert.deepEqual(sent, [])
})

test("a cancelled edit says that the changes are kept", () => {
  composer.edit(1, "hello")
  type("hello!")
  composer.cancel()

  assert.match(form.querySelector(".composer__hint-text").textContent, /Edit canceled/)
})

test("texts of messages that have expired are not in the composer any more", () => {
  composer.edit(1, "hello")
  type("hello, w")
  composer.cancel()
  composer.reply(2, "Replying to Ben: why?")
  composer.forgetUpTo(2)
  assert.equal(
    form.querySelector(".composer__mode-text").textContent,
    "Replying to a deleted message",
  )
  composer.edit(1, "")
  assert.equal(composer.field.value, "")
  composer.reply(3, "Replying to Ben: when?")
  composer.forgetUpTo(2)

  assert.equal(form.querySelector(".composer__mode-text").textContent, "Replying to Ben: when?")
})

// Pasting and dropping files, which cannot be sent.

import assert from "node:assert/strict"
import { afterEach, beforeEach, test } from "node:test"

import { setUpFileRefusal } from "../../static/js/view/file_refusal.js"

class FakeElement {
  constructor(tag) {
    this.tag = tag
  }

  matches(selector) {
    return selector.split(", ").includes(this.tag)
  }
}

let page
let inserted
let toasts

beforeEach(() => {
  globalThis.Element = FakeElement
  page = new EventTarget()
  inserted = []
  toasts = []
  setUpFileRefusal(page, {
    insertText: (text) => inserted.push(text),
    showToast: (text) => toasts.push(text),
  })
})

afterEach(() => {
  delete globalThis.Element
})

/** Dispatches an event that transfers data; returns it. */
function transfer(type, { data = {}, files = 0, over = "main" }) {
  const types = [...Object.keys(data), ...(files > 0 ? ["Files"] : [])]
  const dataTransfer = { types, getData: (format) => data[format] ?? "", dropEffect: "copy" }
  const event = new Event(type, { cancelable: true })
  Object.defineProperty(event, "target", { value: new FakeElement(over) })
  Object.assign(event, { clipboardData: dataTransfer, dataTransfer })
  page.dispatchEvent(event)
  return event
}

test("pasting a file is explained, and the text in the same paste is left to the browser", () => {
  transfer("paste", { files: 1 })
  const event = transfer("paste", { files: 2, data: { "text/plain": "see this" } })

  assert.equal(event.defaultPrevented, false)
  assert.equal(toasts.length, 2)
  assert.match(toasts[0], /can't be sent/)
})

test("pasting text is not explained, also when an office program adds a picture of it", () => {
  transfer("paste", { data: { "text/plain": "hello" } })
  transfer("paste", { files: 1, data: { "text/plain": "hello", "text/rtf": "{hello}" } })

  assert.deepEqual(toasts, [])
})

for (const over of ["main", "textarea", "input"]) {
  test(`a file that is dropped on ${over} is not opened, and its text is kept`, () => {
    assert.equal(transfer("dragover", { files: 1, over }).defaultPrevented, true)
    const event = transfer("drop", { files: 1, over, data: { "text/plain": "see this" } })

    assert.equal(event.defaultPrevented, true)
    assert.equal(toasts.length, 1)
    assert.deepEqual(inserted, ["see this"])
  })
}

test("a link that is dropped outside of a text field is not opened", () => {
  const data = { "text/uri-list": "http://example.org/" }
  const outside = transfer("dragover", { data })
  const inside = transfer("dragover", { data, over: "textarea" })

  assert.equal(outside.defaultPrevented, true)
  assert.equal(outside.dataTransfer.dropEffect, "none")
  assert.equal(inside.defaultPrevented, false)
  assert.deepEqual(toasts, [])
})

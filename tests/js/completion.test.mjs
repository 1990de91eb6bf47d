// Which names are suggested after an @, and which keys accept one.

import assert from "node:assert/strict"
import { beforeEach, test } from "node:test"

import { Completion, MENTION_PATTERN } from "../../static/js/view/completion.js"

/** As much of a list of options as the completion needs. */
class FakeList extends EventTarget {
  hidden = true
  children = []

  replaceChildren(...children) {
    this.children = children
  }
}

/** A text field in which the caret is at the end of the text. */
class FakeField extends EventTarget {
  form = new EventTarget()
  value = ""

  get selectionStart() {
    return this.value.length
  }

  setAttribute() {}
  removeAttribute() {}
}

class FakeComposer extends EventTarget {
  field = new FakeField()

  type(text) {
    this.field.value += text
    this.dispatchEvent(new Event("typing"))
  }

  insert(text, start) {
    this.field.value = this.field.value.slice(0, start) + text
    this.dispatchEvent(new Event("typing"))
  }

  replaceText(text) {
    this.field.value = text
    this.dispatchEvent(new Event("replace"))
  }
}

let composer
let list

beforeEach(() => {
  composer = new FakeComposer()
  list = new FakeList()
  const names = ["Ada", "Ada Lovelace", "Ben"]
  new Completion(list, {
    composer,
    suggest: (prefix) => {
      const wanted = prefix.trim().toLowerCase()
      return names.filter((name) => name.toLowerCase().startsWith(wanted)).map((name) => ({ name }))
    },
    cloneTemplate: () => ({}),
  })
})

/** Presses a key in the field; returns whether the completion has handled it. */
function press(key, properties = {}) {
  const event = Object.assign(new Event("keydown", { cancelable: true }), { key, ...properties })
  composer.field.form.dispatchEvent(event)
  return event.defaultPrevented
}

const suggestedNames = () => (list.hidden ? [] : list.children.map((option) => option.textContent))

test("a mention begins with an @ that is not inside a word", () => {
  assert.equal(MENTION_PATTERN.exec("hi @Ad")?.[1], "Ad")
  assert.equal(MENTION_PATTERN.exec("@Ada Lo")?.[1], "Ada Lo")
  assert.equal(MENTION_PATTERN.exec("ada@example"), null)
  assert.equal(MENTION_PATTERN.exec("@Ada\nhello"), null)
})

for (const space of [" ", "  ", "\u00a0", "\u3000", " A"]) {
  test(`an @ before ${JSON.stringify(space)} offers nobody`, () => {
    composer.type("@")
    assert.deepEqual(suggestedNames(), ["Ada", "Ada Lovelace", "Ben"])
    composer.type(space)

    assert.deepEqual(suggestedNames(), [])
    assert.equal(press("Enter"), false)
  })
}

for (const [how, act] of Object.entries({
  "the text is sent or replaced": () => composer.replaceText(""),
  "the caret moves away": () => {
    composer.field.value = ""
    composer.field.dispatchEvent(new Event("selectionchange"))
  },
  "the field loses the focus": () => composer.field.dispatchEvent(new Event("blur")),
})) {
  test(`the list closes when ${how}`, () => {
    composer.type("@")
    assert.equal(list.hidden, false)
    act()

    assert.equal(list.hidden, true)
    assert.equal(press("Enter"), false)
    assert.equal(composer.field.value.includes("Ada"), false)
  })
}

for (const [state, properties] of Object.entries({
  "while the input method composes": { isComposing: true, keyCode: 229 },
  "when it ends the composition, as in Safari": { isComposing: false, keyCode: 229 },
})) {
  test(`Enter, Tab and Escape do nothing ${state}`, () => {
    composer.type("@A")
    for (const key of ["Enter", "Tab", "Escape"]) {
      assert.equal(press(key, properties), false)
      assert.equal(list.hidden, false, key)
    }
    assert.equal(composer.field.value, "@A")

    assert.equal(press("Enter"), true)
    assert.equal(composer.field.value, "@Ada ")
  })
}

test("Enter sends when the complete name is typed, and accepts a name otherwise", () => {
  composer.type("@Ben")
  assert.equal(press("Enter"), false)
  composer.replaceText("")

  composer.type("@Be")
  assert.equal(press("Enter"), true)
  assert.equal(composer.field.value, "@Ben ")
})

// The Markdown parser: the same vectors as for the server's, and how the tree becomes elements.

import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { test } from "node:test"

import { isEmojiOnly } from "../../static/js/lib/emoji.js"
import { parseMarkdown } from "../../static/js/lib/markdown.js"
import { renderMarkdown } from "../../static/js/view/markdown_view.js"
import { cpuMilliseconds } from "./fakes.mjs"

const vectorsUrl = new URL("../vectors/markdown.json", import.meta.url)
const { trees, large, repeated_parts: repeatedParts } = JSON.parse(readFileSync(vectorsUrl, "utf8"))

/** As much of an element as rendering needs. */
class FakeElement {
  attributes = {}
  dataset = {}
  children = []
  ownerDocument = fakeDocument
  renderCount = 0

  constructor(tag) {
    this.tag = tag
  }

  setAttribute(name, value) {
    this.attributes[name] = value
  }

  append(...children) {
    this.children.push(...children)
  }

  replaceChildren(...children) {
    this.renderCount += 1
    this.children = children
  }

  get text() {
    return this.children.map(textOf).join("")
  }
}

const fakeDocument = {
  createElement: (tag) => new FakeElement(tag),
  createTextNode: (text) => text,
}

function textOf(child) {
  return typeof child === "string" ? child : child.text
}

function render(source) {
  const element = new FakeElement("div")
  renderMarkdown(element, source)
  return element
}

for (const { source, tree } of trees) {
  test(`the tree of ${JSON.stringify(source)} is the one in the table`, () => {
    assert.deepEqual(parseMarkdown(source), tree)
  })
}

for (const { source, large: expected } of large) {
  test(`${JSON.stringify(source)} is ${expected ? "" : "not "}shown large`, () => {
    assert.equal(isEmojiOnly(source), expected)
  })
}

test("a message becomes elements and text", () => {
  const [quote, link] = render("> a **b**\nhttp://example.org.").children
  assert.equal(quote.tag, "blockquote")
  assert.equal(quote.children[0], "a ")
  assert.equal(quote.children[1].tag, "strong")
  assert.equal(link.tag, "a")
  assert.deepEqual(link.attributes, {
    class: "link",
    target: "_blank",
    rel: "noopener noreferrer nofollow ugc",
    href: "http://example.org",
  })
})

test("fenced code becomes a code block", () => {
  const [block] = render("```\na\n```").children

  assert.equal(block.tag, "pre")
  assert.equal(block.children[0].tag, "code")
  assert.equal(block.text, "a")
})

test("the address of a link is its text, whatever is emphasized in it", () => {
  const [link] = render("http://a@b\u00fccher.example/c").children

  assert.equal(link.attributes.href, link.text)
  assert.equal(link.children[1].attributes.class, "link__host")
})

test("emoji are shown large until there is other text", () => {
  const element = render("\u{1f44d}")
  assert.equal(element.dataset.size, "large")
  renderMarkdown(element, "\u{1f44d} ok")

  assert.equal("size" in element.dataset, false)
})

test("an unchanged message is not rendered again", () => {
  const element = render("hello")
  renderMarkdown(element, "hello")

  assert.equal(element.renderCount, 1)
})

const MAX_CPU_MS = 250

for (const part of repeatedParts) {
  test(`4,000 characters of ${JSON.stringify(part)} are rendered quickly`, () => {
    const source = part.repeat(4000 / part.length)
    const used = cpuMilliseconds(() => {
      for (let time = 0; time < 5; time += 1) render(source)
      isEmojiOnly(source)
    })

    assert.ok(used < MAX_CPU_MS, `${used.toFixed(0)} ms`)
  })
}

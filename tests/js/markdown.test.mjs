// The page draws text as the server does: both are held to one table.

import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { test } from "node:test"

import { isEmojiOnly, parseMarkdown } from "../../static/js/lib/markdown.js"
import { renderMarkdown } from "../../static/js/view/markdown_view.js"

const { trees, large } = JSON.parse(
  readFileSync(new URL("../vectors/markdown.json", import.meta.url), "utf8"),
)

/** As much of a page as drawing needs. */
class FakeElement {
  attributes = {}
  dataset = {}
  children = []
  ownerDocument = fakeDocument
  drawn = 0

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
    this.drawn += 1
    this.children = children
  }

  get text() {
    return this.children.map((child) => (typeof child === "string" ? child : child.text)).join("")
  }
}

const fakeDocument = {
  createElement: (tag) => new FakeElement(tag),
  createTextNode: (text) => text,
}

function written(source) {
  const element = new FakeElement("div")
  renderMarkdown(element, source)
  return element
}

for (const { source, tree } of trees) {
  test(`it means the same here: ${JSON.stringify(source)}`, () =>
    assert.deepEqual(parseMarkdown(source), tree))
}

for (const { source, large: expected } of large) {
  test(`it is ${expected ? "" : "not "}large: ${JSON.stringify(source)}`, () =>
    assert.equal(isEmojiOnly(source), expected))
}

test("a message becomes elements and text", () => {
  const [quote, text] = written("> a **b**\nhttp://example.org.").children.map((child) => child)
  assert.equal(quote.tag, "blockquote")
  assert.deepEqual(
    quote.children.map((child) => child.tag ?? child),
    ["a ", "strong"],
  )
  assert.equal(text.tag, "a")
  assert.deepEqual(text.attributes, {
    class: "link",
    target: "_blank",
    rel: "noopener noreferrer nofollow ugc",
    href: "http://example.org",
  })
})

test("fenced code is code", () => {
  const [fence] = written("```\na\n```").children
  assert.deepEqual([fence.tag, fence.children[0].tag, fence.text], ["pre", "code", "a"])
})

test("a link leads where it says, whatever is emphasised in it", () => {
  const [link] = written("http://a@b\u00fccher.example/c").children
  assert.equal(link.attributes.href, link.text)
  assert.equal(link.children[1].attributes.class, "link__host")
})

test("emoji alone are large until they are not alone", () => {
  const element = written("\u{1f44d}")
  assert.equal(element.dataset.size, "large")
  renderMarkdown(element, "\u{1f44d} ok")
  assert.equal("size" in element.dataset, false)
})

test("what stands there already is not drawn again", () => {
  const element = written("hello")
  renderMarkdown(element, "hello")
  assert.equal(element.drawn, 1)
})

const hostile = [
  "*",
  "`",
  "> ",
  ">",
  "*a ",
  "**a *b ",
  "`a``b",
  "http://a",
  "http://a)",
  "(",
  "```\n",
  ">\n",
  "> ```\n",
  "\u{1f44d}\u200d",
  "```\nx```\n",
]
for (const piece of hostile) {
  test(`4,000 characters of ${JSON.stringify(piece)} are drawn at once`, () => {
    const source = piece.repeat(4000 / piece.length)
    const begun = performance.now()
    for (let time = 0; time < 5; time += 1) written(source)
    isEmojiOnly(source)
    assert.ok(performance.now() - begun < 250)
  })
}

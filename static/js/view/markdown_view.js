// Shows the Markdown of a message as elements and text.

import { isEmojiOnly } from "../lib/emoji.js"
import { parseMarkdown } from "../lib/markdown.js"
import { textOf } from "../lib/plain_text.js"

/** @import { MarkdownNode } from "../lib/markdown.js" */

/**
 * The tag and the attributes of each kind of node.
 *
 * @type {Record<string, { tag: string, attributes: Record<string, string> }>}
 */
const ELEMENTS = {
  bold: { tag: "strong", attributes: {} },
  italic: { tag: "em", attributes: {} },
  code: { tag: "code", attributes: {} },
  fence: { tag: "pre", attributes: { class: "fence" } },
  quote: { tag: "blockquote", attributes: {} },
  host: { tag: "b", attributes: { class: "link__host" } },
  link: {
    tag: "a",
    attributes: { class: "link", target: "_blank", rel: "noopener noreferrer nofollow ugc" },
  },
}

/**
 * The source that each element shows.
 *
 * @type {WeakMap<Element, string>}
 */
const renderedSources = new WeakMap()

/**
 * Makes an element show a message; does nothing when it shows the message already.
 *
 * @param {HTMLElement} element
 * @param {string} source
 */
export function renderMarkdown(element, source) {
  if (renderedSources.get(element) === source) return
  renderedSources.set(element, source)
  element.replaceChildren(...createNodes(parseMarkdown(source), element.ownerDocument))
  if (isEmojiOnly(source)) element.dataset.size = "large"
  else delete element.dataset.size
}

/**
 * @param {MarkdownNode[]} nodes
 * @param {Document} document
 * @returns {(Text | HTMLElement)[]}
 */
function createNodes(nodes, document) {
  return nodes.map((node) => {
    if (typeof node === "string") return document.createTextNode(node)
    return createElement(node, document)
  })
}

/**
 * @param {Exclude<MarkdownNode, string>} node
 * @param {Document} document
 */
function createElement([kind, children], document) {
  const { tag, attributes } = ELEMENTS[kind]
  const element = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value)
  if (kind === "link") element.setAttribute("href", textOf(children))
  /** @type {MarkdownNode[]} */
  const content = kind === "fence" ? [["code", children]] : children
  element.append(...createNodes(content, document))
  return element
}

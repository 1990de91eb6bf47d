// The text of a message without the characters of its Markdown. chat/text/plain_text.py is the same
// in Python.

import { parseMarkdown } from "./markdown.js"
import { truncate } from "./text.js"

/** @import { MarkdownNode } from "./markdown.js" */

const MAX_PREVIEW_CHARACTERS = 400
const BLOCKS = ["fence", "quote"]

/** @param {string} source */
export function plainText(source) {
  return textOf(parseMarkdown(source)).trim()
}

/**
 * The first line of a message.
 *
 * @param {string} source
 */
export function firstLine(source) {
  const beginning = truncate(source.trim(), MAX_PREVIEW_CHARACTERS)
  return plainText(beginning).split("\n", 1)[0]
}

/**
 * The text of nodes; that of blocks is on lines of its own.
 *
 * @param {MarkdownNode[]} nodes
 * @returns {string}
 */
export function textOf(nodes) {
  return nodes.map(textOfNode).join("")
}

/** @param {MarkdownNode} node */
function textOfNode(node) {
  if (typeof node === "string") return node
  const [kind, children] = node
  const text = textOf(children)
  return BLOCKS.includes(kind) ? `\n${text}\n` : text
}

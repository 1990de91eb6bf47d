// The page's Markdown parser for tests/text/test_markdown.py: reads one message per line, as JSON,
// and prints its tree as JSON.

import { createInterface } from "node:readline"

import { isEmojiOnly } from "../../static/js/lib/emoji.js"
import { parseMarkdown } from "../../static/js/lib/markdown.js"

for await (const line of createInterface({ input: process.stdin })) {
  const source = JSON.parse(line)
  console.log(JSON.stringify({ tree: parseMarkdown(source), large: isEmojiOnly(source) }))
}

// The page's Markdown parser for tests/test_markdown.py: reads one message per line, as JSON, and
// prints its syntax tree as JSON.

import { createInterface } from "node:readline"

import { onlyPictures, parse } from "../static/js/markdown.js"

for await (const line of createInterface({ input: process.stdin })) {
  const source = JSON.parse(line)
  console.log(JSON.stringify({ tree: parse(source), large: onlyPictures(source) }))
}

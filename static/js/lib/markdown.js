// Parses the Markdown subset of messages into a tree. chat/text/markdown.py is the same parser in
// Python.

import { ADDRESS, SPACE, linkChildren, trimAddress } from "./links.js"

/**
 * @typedef {string | [kind: string, children: MarkdownNode[]]} MarkdownNode a text, or an element
 *   with its content
 */
/**
 * Whole lines that are one element.
 *
 * @typedef {object} Block
 * @property {"fence" | "quote"} kind
 * @property {number} start the index of the first line
 * @property {number} end the index after the last one
 */

const MAX_QUOTE_DEPTH = 3 // deeper quotes are text
const MAX_STARS = 3

/** A run of backticks, a run of stars, or a web address. */
const TOKEN = new RegExp(`\`+|\\*+|${ADDRESS}`, "gu")
export const QUOTE_MARKER = /^>(?: |(?=>)|$)/
export const FENCE = "```"
const FENCE_START = /^```[^`]*$/
export const FENCE_LANGUAGE = /^[A-Za-z0-9+#.-]{0,20} *$/
const SPACES = new RegExp(`[${SPACE}]`, "gu")
const STARTS_WITH_ALPHANUMERIC = /^[A-Za-z0-9]/
/** @type {Record<string, string>} */
const KIND_BY_STARS = { "*": "italic", "**": "bold" }

/**
 * @param {string} source
 * @returns {MarkdownNode[]}
 */
export function parseMarkdown(source) {
  return parseBlocks(source.split("\n"), 0)
}

// Blocks

/**
 * Fenced code and quotes take whole lines; the lines between them are text.
 *
 * @param {string[]} lines
 * @param {number} quoteDepth
 */
function parseBlocks(lines, quoteDepth) {
  /** @type {MarkdownNode[]} */
  const nodes = []
  let textStart = 0
  for (const { kind, start, end } of findBlocks(lines, quoteDepth)) {
    const content = lines.slice(start, end)
    const node = kind === "fence" ? parseFence(content) : parseQuote(content, quoteDepth)
    nodes.push(...parseTextLines(lines.slice(textStart, start)), node)
    textStart = end
  }
  return [...nodes, ...parseTextLines(lines.slice(textStart))]
}

/**
 * Where fenced code and quotes begin and end.
 *
 * @param {string[]} lines
 * @param {number} quoteDepth
 */
export function findBlocks(lines, quoteDepth) {
  /** @type {Block[]} */
  const blocks = []
  const lastFenceEnd = lines.findLastIndex(endsFence)
  let index = 0
  while (index < lines.length) {
    const block = findFence(lines, index, lastFenceEnd) ?? findQuote(lines, index, quoteDepth)
    if (block) blocks.push(block)
    index = block?.end ?? index + 1
  }
  return blocks
}

/**
 * Fenced code: from three backticks at the start of a line to three backticks at the end of one.
 *
 * @param {string[]} lines
 * @param {number} start
 * @param {number} lastFenceEnd the last line that can end a fence; avoids a search for every start
 * @returns {Block | null}
 */
function findFence(lines, start, lastFenceEnd) {
  if (start >= lastFenceEnd || !FENCE_START.test(lines[start])) return null
  let last = start + 1
  while (!endsFence(lines[last])) last += 1
  return { kind: "fence", start, end: last + 1 }
}

/**
 * A quote: lines that begin with ">". The first of them must not be blank.
 *
 * @param {string[]} lines
 * @param {number} start
 * @param {number} quoteDepth
 * @returns {Block | null}
 */
function findQuote(lines, start, quoteDepth) {
  if (quoteDepth >= MAX_QUOTE_DEPTH) return null
  if (isBlank(lines[start].replace(">", ""))) return null
  let end = start
  while (end < lines.length && QUOTE_MARKER.test(lines[end])) end += 1
  return end > start ? { kind: "quote", start, end } : null
}

/**
 * @param {string[]} lines
 * @returns {MarkdownNode}
 */
function parseFence(lines) {
  const info = lines[0].slice(FENCE.length)
  const lastLine = trimEndSpaces(lines[lines.length - 1]).slice(0, -FENCE.length)
  const content = lines.slice(1, -1)
  if (!FENCE_LANGUAGE.test(info)) content.unshift(info)
  if (lastLine !== "") content.push(lastLine)
  return ["fence", [content.join("\n")]]
}

/**
 * @param {string[]} lines
 * @param {number} quoteDepth
 * @returns {MarkdownNode}
 */
function parseQuote(lines, quoteDepth) {
  const content = lines.map((line) => line.replace(QUOTE_MARKER, ""))
  return ["quote", parseBlocks(content, quoteDepth + 1)]
}

/** @param {string} line */
function endsFence(line) {
  return trimEndSpaces(line).endsWith(FENCE)
}

/** @param {string} text */
function isBlank(text) {
  return text.replace(SPACES, "") === ""
}

/**
 * Not `trimEnd`, which would remove other white space too.
 *
 * @param {string} line
 */
function trimEndSpaces(line) {
  let end = line.length
  while (line[end - 1] === " ") end -= 1
  return line.slice(0, end)
}

// Text

/**
 * Emphasis and code begin and end on one line.
 *
 * @param {string[]} lines
 */
function parseTextLines(lines) {
  /** @type {MarkdownNode[]} */
  const nodes = []
  for (const [index, line] of lines.entries()) {
    if (index > 0) appendNodes(nodes, ["\n"])
    appendNodes(nodes, parseLine(line))
  }
  return nodes
}

/** @param {string} line */
function parseLine(line) {
  const output = new LineOutput()
  const codeEnds = findCodeEnds(line)
  let position = 0
  TOKEN.lastIndex = 0
  let match = TOKEN.exec(line)
  while (match) {
    output.add(line.slice(position, match.index))
    position = parseToken(line, match, codeEnds, output)
    TOKEN.lastIndex = position
    match = TOKEN.exec(line)
  }
  output.add(line.slice(position))
  return output.finish()
}

/**
 * @param {string} line
 * @param {RegExpExecArray} match
 * @param {Map<number, number>} codeEnds
 * @param {LineOutput} output
 * @returns {number} where the rest of the line begins
 */
function parseToken(line, match, codeEnds, output) {
  const token = match[0]
  const start = match.index
  const end = start + token.length
  if (token.startsWith("*")) {
    output.addStars(token, line[start - 1] ?? "", line[end] ?? "")
    return end
  }
  if (!token.startsWith("`")) {
    const address = trimAddress(token)
    output.add(["link", linkChildren(address)])
    return start + address.length
  }
  const codeEnd = codeEnds.get(start)
  if (codeEnd === undefined) {
    output.add(token)
    return end
  }
  output.add(["code", [line.slice(end, codeEnd)]])
  return codeEnd + token.length
}

/**
 * Where each run of backticks is closed: by the next run of the same length.
 *
 * @param {string} line
 * @returns {Map<number, number>} the start of the closing run, by the start of the opening one
 */
function findCodeEnds(line) {
  /** @type {Map<number, number>} the start of the next run, by its length */
  const nextRuns = new Map()
  /** @type {Map<number, number>} */
  const codeEnds = new Map()
  const runs = [...line.matchAll(/`+/g)]
  for (const { 0: run, index } of runs.reverse()) {
    const nextRun = nextRuns.get(run.length)
    if (nextRun !== undefined) codeEnds.set(index, nextRun)
    nextRuns.set(run.length, index)
  }
  return codeEnds
}

// Emphasis

/**
 * Appends nodes; neighboring texts become one.
 *
 * @param {MarkdownNode[]} nodes
 * @param {MarkdownNode[]} added
 */
function appendNodes(nodes, added) {
  for (const node of added) {
    const last = nodes.at(-1)
    if (typeof node === "string" && typeof last === "string") nodes[nodes.length - 1] = last + node
    else if (node !== "") nodes.push(node)
  }
}

/** @typedef {{ stars: string, children: MarkdownNode[] }} OpenEmphasis */

/**
 * Collects the nodes of a line, in which at most one bold and one italic part are open at a time.
 */
class LineOutput {
  /** @type {OpenEmphasis[]} the line itself, then the open parts, the innermost last */
  #open = [{ stars: "", children: [] }]

  /** @param {MarkdownNode} node */
  add(node) {
    appendNodes(this.#innermost.children, [node])
  }

  /**
   * Adds stars, which open or close emphasis. Inside a word or between spaces they are text.
   *
   * @param {string} run
   * @param {string} before the character before them, or ""
   * @param {string} after the character after them, or ""
   */
  addStars(run, before, after) {
    if (run.length > MAX_STARS) {
      this.add(run)
      return
    }
    const canClose = !isBlank(before) && !STARTS_WITH_ALPHANUMERIC.test(after)
    const canOpen = !isBlank(after) && !STARTS_WITH_ALPHANUMERIC.test(before)
    const remaining = canClose ? this.#closeAll(run) : run
    for (const stars of splitStars(remaining)) {
      if (canOpen) this.#openEmphasis(stars)
      else this.add(stars)
    }
  }

  /** All nodes of the line. Stars that were never closed are text. */
  finish() {
    while (this.#open.length > 1) this.#turnIntoText(this.#innermost.stars)
    return this.#innermost.children
  }

  get #innermost() {
    return /** @type {OpenEmphasis} */ (this.#open.at(-1))
  }

  /** @param {string} stars */
  #openEmphasis(stars) {
    this.#turnIntoText(stars)
    this.#open.push({ stars, children: [] })
  }

  /**
   * Closes what a run of stars can close.
   *
   * @param {string} run
   * @returns {string} the stars that have closed nothing
   */
  #closeAll(run) {
    let remaining = run
    let stars = this.#closedBy(remaining)
    while (stars) {
      this.#close(stars)
      remaining = remaining.slice(stars.length)
      stars = this.#closedBy(remaining)
    }
    return remaining
  }

  /**
   * The emphasis that a run of stars closes: the one with the same stars, otherwise the innermost
   * one with fewer stars.
   *
   * @param {string} run
   * @returns {string | undefined} its stars
   */
  #closedBy(run) {
    const openStars = this.#open.slice(1).map(({ stars }) => stars)
    if (openStars.includes(run)) return run
    return openStars.findLast((stars) => stars.length <= run.length)
  }

  /** @param {string} stars */
  #close(stars) {
    while (this.#innermost.stars !== stars) this.#turnIntoText(this.#innermost.stars)
    const { children } = this.#innermost
    this.#open.pop()
    this.add([KIND_BY_STARS[stars], children])
  }

  /**
   * The emphasis with these stars, if it is open, will not be closed: its stars are text.
   *
   * @param {string} stars
   */
  #turnIntoText(stars) {
    const index = this.#open.findLastIndex((part) => part.stars === stars)
    if (index <= 0) return
    const [part] = this.#open.splice(index, 1)
    appendNodes(this.#open[index - 1].children, [stars, ...part.children])
  }
}

/**
 * Three stars are bold and italic.
 *
 * @param {string} run of at most three stars
 */
function splitStars(run) {
  if (run === "***") return ["**", "*"]
  return run === "" ? [] : [run]
}

// The small Markdown of messages, built from text alone; chat/markdown.py is its twin for what the server draws.

/** Text, or what it is and what is in it. @typedef {string | [kind: string, inside: Node[]]} Node */

const QUOTES_AT_MOST = 3 // quotes within quotes; further ones are text
const SCHEME = "[Hh][Tt][Tt][Pp][Ss]?://" // letter by letter: to ignore case would let the long s in, which is no scheme
const SPACE = "\\s\\x00-\\x1f\\x7f-\\x9f\\ufeff"
const UNSEEN = "\\u061c\\u200b\\u200e\\u200f\\u2028-\\u202e\\u2066-\\u2069" // would hide where an address ends, or turn it around
// Beyond ASCII a host may begin with every character but these: punctuation, symbols, emoji, combining marks and private use.
// Not `\p{L}`: Unicode gets new letters every year, and the server and a browser may know different versions of it.
const NOT_LETTERS =
  "\\x80-\\xbf\\xd7\\xf7\\u0300-\\u036f\\u2000-\\u206f\\u20a0-\\u20ff\\u2190-\\u2bff\\u2e00-\\u2e7f\\u3000-\\u3004\\u3008-\\u3020" +
  "\\ud800-\\uf8ff\\ufe00-\\ufe6f\\uff00-\\uff0f\\uff1a-\\uff20\\uff3b-\\uff40\\uff5b-\\uff65\\uffe0-\\uffff" +
  "\\u{1f000}-\\u{1ffff}\\u{e0000}-\\u{10ffff}"
const HOST_START = `[A-Za-z0-9]|[^\\x00-\\x7f${NOT_LETTERS}]|\\[[0-9A-Fa-f:]`
const PIECE = new RegExp(`\`+|\\*+|(?<![A-Za-z0-9_])${SCHEME}(?=${HOST_START})[^${SPACE}${UNSEEN}<>"\\\\\`]+`, "gu")
const TRAILING = ".,:;!?'*_~\u2026\u3001\u3002\uff01\uff0c\uff0e\uff1a\uff1b\uff1f\u00bb\u2019\u201d\u300d\u300f"
/** @type {Record<string, string>} */
const PAIRS = { ")": "(", "]": "[", "}": "{", "\uff09": "\uff08" }
const HOST = new RegExp(`^(${SCHEME})([^/?#]+)(.*)$`, "su")
const QUOTED = /^>(?: |(?=>)|$)/
const FENCE = /^```([^`]*)$/
const LANGUAGE = /^[A-Za-z0-9+#.-]{0,20} *$/
const BLANK = new RegExp(`[${SPACE}]`, "gu")
const ALNUM = /^[A-Za-z0-9]/
/** @type {Record<string, string>} */
const STARS = { "*": "italic", "**": "bold" }

const PICTURE =
  "(?:[\\u{1f1e6}-\\u{1f1ff}]{2}|[0-9#*]\\ufe0f\\u20e3|" +
  "(?:[\\u{1f300}-\\u{1f64f}\\u{1f680}-\\u{1f6ff}\\u{1f7e0}-\\u{1f7f0}\\u{1f900}-\\u{1f9ff}\\u{1fa70}-\\u{1faff}" +
  "\\u{1f004}\\u{1f0cf}\\u{1f18e}\\u{1f191}-\\u{1f19a}" +
  "\\u231a\\u231b\\u23e9-\\u23ec\\u23f0\\u23f3\\u25fd\\u25fe\\u2614\\u2615\\u2648-\\u2653\\u267f\\u2693\\u26a1\\u26aa\\u26ab\\u26bd\\u26be" +
  "\\u26c4\\u26c5\\u26ce\\u26d4\\u26ea\\u26f2\\u26f3\\u26f5\\u26fa\\u26fd\\u2705\\u270a\\u270b\\u2728\\u274c\\u274e\\u2753-\\u2755\\u2757" +
  "\\u2795-\\u2797\\u27b0\\u27bf\\u2b1b\\u2b1c\\u2b50\\u2b55]|[\\u203c-\\u3299]\\ufe0f)[\\ufe0f\\u{1f3fb}-\\u{1f3ff}]{0,2}" +
  "[\\u{e0020}-\\u{e007f}]{0,8})"
const JOINED = `(?:\\u200d(?:${PICTURE}|[\\u2640\\u2642\\u2695\\u2696\\u2708\\u2764]\\ufe0f?))*`
const PICTURES = new RegExp(`^[ \\n]*(?:${PICTURE}${JOINED}[ \\n]*){1,8}$`, "u")
const PICTURES_CHARS = 160 // eight of the longest

/** @type {Record<string, [tag: string, attributes: Record<string, string>]>} */
const TAGS = {
  bold: ["strong", {}],
  italic: ["em", {}],
  code: ["code", {}],
  fence: ["pre", { class: "fence" }],
  quote: ["blockquote", {}],
  host: ["b", { class: "link__host" }],
  link: ["a", { class: "link", target: "_blank", rel: "noopener noreferrer nofollow ugc" }],
}

/** @type {WeakMap<Element, string>} */ const written = new WeakMap()

/** Makes an element say a message; nothing is touched when it says it already. @param {HTMLElement} element @param {string} source */
export function writeText(element, source) {
  if (written.get(element) === source) return
  written.set(element, source)
  element.replaceChildren(...draw(parse(source), element.ownerDocument))
  if (onlyPictures(source)) element.dataset.size = "large"
  else delete element.dataset.size
}

/** Whether it is one to eight emoji and nothing else: they are shown large. @param {string} source */
export function onlyPictures(source) {
  return source.length <= 2 * PICTURES_CHARS && [...source].length <= PICTURES_CHARS && PICTURES.test(source)
}

/** A message as a tree. @param {string} source */
export function parse(source) {
  return blocks(source.split("\n"), 0)
}

/** The tree as nodes of a page. @param {Node[]} nodes @param {Document} document @returns {(Text | HTMLElement)[]} */
export function draw(nodes, document) {
  return nodes.map((node) => {
    if (typeof node === "string") return document.createTextNode(node)
    const [kind, inside] = node
    const [tag, attributes] = /** @type {(typeof TAGS)[string]} */ (TAGS[kind])
    const element = document.createElement(tag)
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value)
    if (kind === "link") element.setAttribute("href", plain(inside))
    element.append(...draw(kind === "fence" ? [["code", inside]] : inside, document))
    return element
  })
}

/** @param {Node[]} nodes @returns {string} */
const plain = (nodes) => nodes.map((node) => (typeof node === "string" ? node : plain(node[1]))).join("")

/** Fences and quotes take whole lines; what is between them is text, with its line ends. @param {string[]} lines @param {number} depth */
function blocks(lines, depth) {
  /** @type {Node[]} */ const nodes = []
  /** @type {string[]} */ let text = []
  const lastEnd = lines.findLastIndex(ends)
  for (let at = 0; at < lines.length; ) {
    const found = fence(lines, at, lastEnd) ?? quote(lines, at, depth)
    if (found) {
      nodes.push(...lined(text), found.block)
      text = []
    } else text.push(lines[at] ?? "")
    at = found?.after ?? at + 1
  }
  return [...nodes, ...lined(text)]
}

/** @param {string} line */
const ends = (line) => withoutSpaces(line).endsWith("```")

/** Nothing to see. @param {string} text */
const isBlank = (text) => text.replace(BLANK, "") === ""

/** @param {string} line */
function withoutSpaces(line) {
  let end = line.length
  while (line[end - 1] === " ") end -= 1
  return line.slice(0, end)
}

/** From three backticks at the start of a line to three at the end of one. @param {string[]} lines @param {number} at @param {number} lastEnd @returns {{ block: Node, after: number } | null} */
function fence(lines, at, lastEnd) {
  const info = FENCE.exec(lines[at] ?? "")?.[1]
  if (info === undefined || at >= lastEnd) return null
  const inside = LANGUAGE.test(info) ? [] : [info]
  let end = at + 1
  while (!ends(lines[end] ?? "")) end += 1
  const last = withoutSpaces(lines[end] ?? "").slice(0, -3)
  inside.push(...lines.slice(at + 1, end), ...(last ? [last] : []))
  return { block: ["fence", [inside.join("\n")]], after: end + 1 }
}

/** Lines that begin with > and a space; the first has to say something. @param {string[]} lines @param {number} at @param {number} depth @returns {{ block: Node, after: number } | null} */
function quote(lines, at, depth) {
  if (isBlank(lines[at]?.replace(">", "") ?? "")) return null
  /** @type {string[]} */ const inside = []
  for (let mark; depth < QUOTES_AT_MOST && (mark = QUOTED.exec(lines[at + inside.length] ?? "")); ) inside.push(mark.input.slice(mark[0].length))
  return inside.length ? { block: ["quote", blocks(inside, depth + 1)], after: at + inside.length } : null
}

/** Marks begin and end on one line. @param {string[]} lines */
function lined(lines) {
  /** @type {Node[]} */ const nodes = []
  for (const [number, line] of lines.entries()) add(nodes, ...(number ? ["\n"] : []), ...inline(line))
  return nodes
}

/** @param {string} line */
function inline(line) {
  const marks = new Marks()
  const closing = closings(line)
  let at = 0
  for (PIECE.lastIndex = 0; ; PIECE.lastIndex = at) {
    const found = PIECE.exec(line)
    if (!found) break
    const [piece] = found
    const start = found.index
    marks.add(line.slice(at, start))
    at = start + piece.length
    const close = closing.get(start)
    if (piece.startsWith("*")) marks.stars(piece, line[start - 1] ?? "", line[at] ?? "")
    else if (!piece.startsWith("`")) {
      const reached = address(piece)
      marks.add(["link", link(reached)])
      at = start + reached.length
    } else if (close !== undefined) {
      marks.add(["code", [line.slice(at, close)]])
      at = close + piece.length
    } else marks.add(piece)
  }
  marks.add(line.slice(at))
  return marks.close()
}

/** Where each run of backticks is closed: by the next one as long. @param {string} line */
function closings(line) {
  /** @type {Map<number, number>} */ const nearest = new Map()
  /** @type {Map<number, number>} */ const found = new Map()
  for (const { 0: run, index } of [...line.matchAll(/`+/g)].reverse()) {
    const next = nearest.get(run.length)
    if (next !== undefined) found.set(index, next)
    nearest.set(run.length, index)
  }
  return found
}

/** An address without the punctuation of the sentence around it; brackets that it opens itself are its own. @param {string} found */
function address(found) {
  /** @type {Record<string, number>} by bracket: how many more of them close than open */ const loose = {}
  for (const [close, open] of Object.entries(PAIRS)) loose[close] = found.split(close).length - found.split(open).length
  for (let end = found.length; ; end -= 1) {
    const last = found[end - 1] ?? ""
    const closesNothing = (loose[last] ?? 0) > 0
    if (!TRAILING.includes(last) && !closesNothing) return found.slice(0, end)
    if (closesNothing) loose[last] = (loose[last] ?? 0) - 1
  }
}

/** Letters of other alphabets may look like those of a host one trusts: such a host is shown as what it is. @param {string} found @returns {Node[]} */
function link(found) {
  const [, scheme = "", host = "", rest = ""] = HOST.exec(found) ?? []
  if (/^[!-~]*$/.test(host) && !host.includes("@")) return [found]
  const name = host.lastIndexOf("@") + 1
  return [scheme + host.slice(0, name), ["host", [host.slice(name)]], ...(rest ? [rest] : [])]
}

/** Text that meets text is one text. @param {Node[]} nodes @param {Node[]} more */
function add(nodes, ...more) {
  for (const node of more) {
    const last = nodes.at(-1)
    if (typeof node === "string" && typeof last === "string") nodes[nodes.length - 1] = last + node
    else if (node) nodes.push(node)
  }
}

/** The nodes of a line, and the marks that are open in it: at most one bold and one italic. */
class Marks {
  /** The line itself, then the marks, inmost last. @type {{ mark: string, inside: Node[] }[]} */
  #open = [{ mark: "", inside: [] }]

  /** @param {Node} node */
  add(node) {
    add(this.#inmost.inside, node)
  }

  /** One star is italic, two are bold, three both; inside a word or a sum they are stars. @param {string} run @param {string} before @param {string} after */
  stars(run, before, after) {
    if (run.length > 3) return this.add(run)
    const left = isBlank(before) || ALNUM.test(after) ? run : this.#closeAll(run)
    const opens = !isBlank(after) && !ALNUM.test(before)
    for (const mark of ["**".slice(0, left.length & 2), "*".slice(0, left.length & 1)]) {
      if (opens) this.#begin(mark)
      else this.add(mark)
    }
  }

  /** All of it. What is still open is stars. */
  close() {
    while (this.#open.length > 1) this.#forget(this.#inmost.mark)
    return this.#inmost.inside
  }

  get #inmost() {
    return /** @type {{ mark: string, inside: Node[] }} */ (this.#open.at(-1))
  }

  /** @param {string} mark */
  #begin(mark) {
    if (!mark) return
    this.#forget(mark)
    this.#open.push({ mark, inside: [] })
  }

  /** Closes what a run of stars can close; what is left of it. @param {string} run */
  #closeAll(run) {
    let left = run
    for (let mark; (mark = this.#closedBy(left)); left = left.slice(mark.length)) this.#close(mark)
    return left
  }

  /** The mark that is just that, else the inmost that is not longer. @param {string} run */
  #closedBy(run) {
    const marks = this.#open.slice(1).reverse().map(({ mark }) => mark).filter((mark) => mark.length <= run.length)
    return marks.includes(run) ? run : marks[0]
  }

  /** @param {string} mark */
  #close(mark) {
    while (this.#inmost.mark !== mark) this.#forget(this.#inmost.mark)
    const { inside } = this.#inmost
    this.#open.pop()
    this.add([STARS[mark] ?? "", inside])
  }

  /** This one is not closed: it was stars. @param {string} mark */
  #forget(mark) {
    const at = this.#open.findIndex((open, place) => place > 0 && open.mark === mark)
    const [forgotten] = at < 0 ? [] : this.#open.splice(at, 1)
    if (forgotten) add(/** @type {{ inside: Node[] }} */ (this.#open[at - 1]).inside, mark, ...forgotten.inside)
  }
}

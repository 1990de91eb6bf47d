// Splits a text that is too long for one message into parts: between paragraphs, lines or words.

import { boundaryBefore } from "./graphemes.js"
import { FENCE, FENCE_LANGUAGE, QUOTE_MARKER, findBlocks } from "./markdown.js"
import { characterCount, isBlank, positionAfter, visibleCharacterCount } from "./text.js"

/**
 * Fenced code in a text.
 *
 * @typedef {object} Fence
 * @property {number} start the position of the line that opens it
 * @property {number} contentStart the position of the line after that
 * @property {number} lastLine the position of the line that closes it
 * @property {number} end the position of the end of that line
 * @property {string} markers of the quote that it is in, or ""
 * @property {string} opening the line that opens it again in the next part
 * @property {string} closing the line that closes it in a part
 */

/**
 * @typedef {object} Line
 * @property {string} text without the markers of quotes
 * @property {string} markers
 * @property {number} start the position in the whole text
 */

const LEADING_BLANK_LINES = /^(?:[^\S\n]*\n)+/
/** What is dropped between two parts: spaces after a word, or a line break and blank lines. */
const BETWEEN_PARTS = /[^\S\n]*\n(?:[^\S\n]*\n)*|[^\S\n]+/y
const LINE_BREAK = /\n?/y
const QUOTE_MARKERS = /^(?:>(?: |(?=>))){1,3}/
const SPACE = /\s/

/**
 * Splits a text. Indentation is kept, and fenced code that is cut is closed and opened again. A
 * part contains whole graphemes. The time is linear in the length of the text.
 *
 * @param {string} text
 * @param {{ maxCharacters: number, maxParts: number }} limits `maxCharacters` of a part
 * @returns {string[] | null} null when there would be too many parts
 */
export function splitMessage(text, { maxCharacters, maxParts }) {
  // Blank text between two parts is dropped; everything else needs room in a part.
  if (visibleCharacterCount(text) > maxCharacters * maxParts) return null
  const trimmed = text.replace(LEADING_BLANK_LINES, "").trimEnd()
  const fences = trimmed.includes(FENCE) ? findFences(linesOf(trimmed), 0) : []
  const splitter = new Splitter(trimmed, fences, maxCharacters)
  /** @type {string[]} */
  const parts = []
  while (!splitter.isAtEnd) {
    if (parts.length === maxParts) return null
    const part = splitter.nextPart()
    if (!isBlank(part)) parts.push(part)
  }
  return parts
}

class Splitter {
  #text
  #fences
  #maxCharacters
  #position = 0
  /** The index of the first fenced code that does not end before the current position. */
  #currentFence = 0
  /** What the next part begins with: the line that opens fenced code, and the marker of a quote. */
  #opening = ""

  /**
   * @param {string} text
   * @param {Fence[]} fences
   * @param {number} maxCharacters
   */
  constructor(text, fences, maxCharacters) {
    this.#text = text
    this.#fences = fences
    this.#maxCharacters = maxCharacters
  }

  get isAtEnd() {
    return this.#position >= this.#text.length
  }

  nextPart() {
    const start = this.#position
    const cut = this.#findCut()
    const fence = this.#fenceAt(cut)
    const part = this.#opening + this.#text.slice(start, cut)
    this.#opening = this.#openingAfter(part, cut, fence)
    this.#advance(this.#skip(fence ? LINE_BREAK : BETWEEN_PARTS, cut))
    return fence ? `${part}\n${fence.closing}` : part.trimEnd()
  }

  /**
   * @param {string} part
   * @param {number} cut its end
   * @param {Fence | undefined} fence
   */
  #openingAfter(part, cut, fence) {
    const isBetweenLines = this.#text[cut] === "\n"
    const line = part.slice(part.lastIndexOf("\n") + 1)
    const markers = fence ? fence.markers : (QUOTE_MARKERS.exec(line)?.[0] ?? "")
    return (fence ? `${fence.opening}\n` : "") + (isBetweenLines ? "" : markers)
  }

  /** Where the part that begins at the current position ends. */
  #findCut() {
    const longestEnd = this.#longestEnd(0)
    if (longestEnd === this.#text.length) return longestEnd
    const cut = this.#bestBreak(this.#position, longestEnd)
    const fence = this.#fenceAt(cut)
    return fence ? this.#cutAtFence(fence, cut) : cut
  }

  /**
   * Cuts before fenced code where that leaves at least half of the part, otherwise inside it.
   *
   * @param {Fence} fence
   * @param {number} cut the best position inside of it, without a line that closes it
   */
  #cutAtFence(fence, cut) {
    const { start, contentStart, lastLine, end, closing } = fence
    const endOfPart = this.#longestEnd(closing.length + 1)
    const isLate = start > (this.#position + cut) / 2
    const hasNoContent = contentStart >= endOfPart && start > this.#position
    if (isLate || hasNoContent) return start - 1
    const from = contentStart < endOfPart ? Math.max(contentStart, this.#position) : this.#position
    const cutInside = this.#bestBreak(from, endOfPart)
    const onlyClosingIsLeft =
      cutInside + 1 >= lastLine && this.#text.slice(lastLine, end) === closing
    return onlyClosingIsLeft ? end : cutInside
  }

  /**
   * @param {number} reserved characters that the part needs in addition
   * @returns {number} where the longest possible part ends
   */
  #longestEnd(reserved) {
    const available = this.#maxCharacters - characterCount(this.#opening) - reserved
    return positionAfter(this.#text, this.#position, Math.max(1, available))
  }

  /**
   * The best position to cut at: between paragraphs if that leaves more than half, otherwise
   * between lines, words or graphemes.
   *
   * @param {number} from the cut is after this position
   * @param {number} end the last possible position
   */
  #bestBreak(from, end) {
    const piece = this.#text.slice(from, end + 1)
    const paragraph = piece.lastIndexOf("\n\n")
    if (paragraph > piece.length / 2) return from + paragraph
    const line = piece.lastIndexOf("\n")
    if (line > 0) return from + line
    const word = lastSpaceBetweenWords(piece, this.#text[end + 1])
    if (word > 0) return from + word
    return from + boundaryBefore(this.#text.slice(from, end + 2), end - from)
  }

  /** @param {number} position */
  #advance(position) {
    this.#position = position
    while (this.#fences[this.#currentFence]?.end <= position) this.#currentFence += 1
  }

  /**
   * The fenced code that a cut is inside of.
   *
   * @param {number} cut not before the current position
   */
  #fenceAt(cut) {
    let index = this.#currentFence
    while (this.#fences[index]?.end <= cut) index += 1
    const fence = this.#fences[index]
    return fence && fence.start <= cut ? fence : undefined
  }

  /**
   * @param {RegExp} pattern sticky
   * @param {number} position
   */
  #skip(pattern, position) {
    pattern.lastIndex = position
    return pattern.test(this.#text) ? pattern.lastIndex : position
  }
}

/**
 * The last space in a text that is not beside a backtick or before a ">", which would begin or end
 * fenced code or a quote at the beginning or end of a line.
 *
 * @param {string} text
 * @param {string} [next] the character after the text
 */
function lastSpaceBetweenWords(text, next = "") {
  let nextWord = next
  for (let index = text.length - 1; index > 0; index -= 1) {
    if (!SPACE.test(text[index])) nextWord = text[index]
    else if (text[index - 1] !== "`" && nextWord !== "`" && nextWord !== ">") return index
  }
  return 0
}

/**
 * @param {string} text
 * @returns {Line[]}
 */
function linesOf(text) {
  let position = 0
  return text.split("\n").map((line) => {
    const start = position
    position += line.length + 1
    return { text: line, markers: "", start }
  })
}

/**
 * The fenced code in a text, also in quotes.
 *
 * @param {Line[]} lines
 * @param {number} quoteDepth
 * @returns {Fence[]}
 */
function findFences(lines, quoteDepth) {
  const blocks = findBlocks(
    lines.map(({ text }) => text),
    quoteDepth,
  )
  return blocks.flatMap(({ kind, start, end }) => {
    const content = lines.slice(start, end)
    return kind === "fence" ? fenceOf(content) : findFences(content.map(unquote), quoteDepth + 1)
  })
}

/**
 * @param {Line[]} lines
 * @returns {Fence}
 */
function fenceOf(lines) {
  const { text, markers, start } = lines[0]
  const last = lines[lines.length - 1]
  const isLanguage = FENCE_LANGUAGE.test(text.slice(FENCE.length))
  return {
    start,
    contentStart: lines[1].start,
    lastLine: last.start,
    end: last.start + last.markers.length + last.text.length,
    markers,
    opening: markers + (isLanguage ? text : FENCE),
    closing: markers + FENCE,
  }
}

/**
 * @param {Line} line
 * @returns {Line}
 */
function unquote({ text, markers, start }) {
  const marker = QUOTE_MARKER.exec(text)?.[0] ?? ""
  return { text: text.slice(marker.length), markers: markers + marker, start }
}

// Draws the timeline as a list of messages with day dividers, groups and the unread divider.

import { confusableNames, withoutSuggestion } from "../lib/names.js"
import { formatDay, formatFullTime, formatTime } from "../lib/time.js"
import { setText } from "./dom.js"
import { renderMarkdown } from "./markdown_view.js"
import { authorshipOf, continuesGroup, startsNewDay } from "./message_grouping.js"
import {
  addCodeTools,
  collapseIfLong,
  deletedText,
  drawFoldButton,
  drawReactions,
  drawReply,
  labelButtons,
  setBadge,
  setFace,
  setMark,
  toggleCollapsed,
} from "./message_parts.js"

/** @import { Timeline, TimelineUpdate } from "../state/timeline.js" */
/** @import { UnreadDivider } from "../state/unread.js" */
/** @import { Item, Row } from "../wire.js" */
/** @import { Templates } from "./dom.js" */
/** @import { Authorship } from "./message_grouping.js" */
/** @import { Face } from "./message_parts.js" */

/**
 * What the list needs to know about the person who reads it.
 *
 * @typedef {object} Reader
 * @property {() => string} getMark
 * @property {(row: Row) => boolean} ignores whether a row is hidden
 * @property {(seq: number) => Row | undefined} getOriginal the message that another one replies to
 * @property {(text: string) => boolean} isMentionedIn
 * @property {() => boolean} isFirstLoaded whether the first message of the room is loaded
 * @property {(mark: string, name?: string) => Face} faceOf how a person is shown
 * @property {(mark: string) => string} roleOf "host", "moderator" or ""
 */

const RENDERING_FAILED = "Couldn't display this message."
const NAMELESS = "Somebody"
const YOU = "You" // in system messages
const HIGHLIGHT_MS = 2000
const OWN_AUTHOR = "own" // groups stored own messages with those that are not stored yet

export class MessageList {
  #list
  #cloneTemplate
  #reader
  /**
   * @type {Map<number | string, HTMLElement>} by seq; by id for own messages that are not stored
   *   yet
   */
  #elements = new Map()
  /** @type {WeakMap<Element, Authorship>} */
  #authorships = new WeakMap()
  /** @type {WeakMap<Element, string>} the text that each message shows */
  #texts = new WeakMap()
  /** @type {WeakMap<Element, { mark: string, name: string }>} who wrote each message */
  #authors = new WeakMap()
  /** @type {{ mark: string, name: string }[]} */
  #presentPeople = []
  /** Names of which the marks are shown, because other people have similar ones. */
  #confusableNames = confusableNames([])
  /** @type {Set<string>} the marks and names that were taken into account */
  #comparedAuthors = new Set()
  #areNamesOutdated = false
  /** @type {UnreadDivider | null} */
  #unreadDivider = null
  /** @type {HTMLElement | null} */
  #unreadDividerElement = null
  /** The seq of the message that is being edited or replied to; 0 when there is none. */
  #targetSeq = 0

  /**
   * @param {HTMLElement} list may contain messages that the server has drawn
   * @param {Templates} cloneTemplate
   * @param {Reader} reader
   */
  constructor(list, cloneTemplate, reader) {
    this.#list = list
    this.#cloneTemplate = cloneTemplate
    this.#reader = reader
    for (const message of this.#messages()) this.#elements.set(Number(message.dataset.seq), message)
  }

  /** The unread divider, or null when it is not shown. */
  get unreadDividerElement() {
    return this.#unreadDividerElement?.isConnected ? this.#unreadDividerElement : null
  }

  /**
   * Draws everything again. Elements of messages that remain are kept.
   *
   * @param {Pick<Timeline, "rows" | "pendingMessages">} timeline
   */
  reset({ rows, pendingMessages }) {
    const keys = new Set([...rows.map(({ seq }) => seq), ...pendingMessages.map(({ id }) => id)])
    for (const key of [...this.#elements.keys()]) {
      if (!keys.has(key)) this.#remove(key)
    }
    this.#areNamesOutdated = true // those of removed messages no longer count
    this.draw([...rows.map((row) => ({ row })), ...pendingMessages.map((item) => ({ item }))])
  }

  /** @param {TimelineUpdate[]} updates */
  draw(updates) {
    for (const update of updates) {
      if ("row" in update) this.#drawRow(update.row, update.pendingId)
      else if ("item" in update) this.#drawItem(update.item)
      else this.#remove(update.removed)
    }
    this.#updateMarks()
    this.#drawUnreadDivider()
  }

  /** @param {UnreadDivider | null} divider */
  setUnreadDivider(divider) {
    this.#unreadDivider = divider
    this.#drawUnreadDivider()
  }

  /**
   * The element of a message, or of the nearest one.
   *
   * @param {number} seq
   * @returns {HTMLElement | null} null when the list is empty
   */
  nearest(seq) {
    /** @type {HTMLElement | null} */
    let nearest = null
    let nearestDistance = Infinity
    for (const message of this.#messages()) {
      const distance = Math.abs(positionOf(message) - seq)
      if (nearest && distance >= nearestDistance) continue
      nearest = message
      nearestDistance = distance
    }
    return nearest
  }

  /**
   * Draws attention to a message for a moment.
   *
   * @param {HTMLElement} message
   */
  highlight(message) {
    message.dataset.highlighted = ""
    setTimeout(() => delete message.dataset.highlighted, HIGHLIGHT_MS)
  }

  /**
   * Takes into account which names people in the room use who have not written anything here.
   *
   * @param {{ mark: string, name: string }[]} people
   */
  learnNames(people) {
    this.#presentPeople = people
    this.#areNamesOutdated = true
    this.#updateMarks()
  }

  /**
   * Marks the message that is being edited or replied to.
   *
   * @param {number} seq 0 when there is none
   */
  setTarget(seq) {
    this.#elements.get(this.#targetSeq)?.removeAttribute("data-target")
    this.#targetSeq = seq
    this.#elements.get(seq)?.setAttribute("data-target", "")
  }

  /** Call it when the name of the reader has changed. */
  updateMentions() {
    for (const message of this.#messages()) this.#markMention(message)
  }

  /** Call it when somebody has become host or moderator, or is no longer. */
  updateBadges() {
    for (const message of this.#messages()) this.#showBadge(message)
  }

  /**
   * Expands or collapses a long message.
   *
   * @param {HTMLElement} button
   */
  toggleCollapsed(button) {
    toggleCollapsed(/** @type {HTMLElement} */ (button.closest(".message")), button)
  }

  // Messages

  /**
   * @param {Row} row
   * @param {string} [pendingId] the id of the own message that has become this row
   */
  #drawRow(row, pendingId) {
    const element = this.#elements.get(pendingId ?? row.seq) ?? this.#cloneTemplate("message")
    element.removeAttribute("aria-label") // contains the text before the change
    if (pendingId) this.#elements.delete(pendingId)
    this.#setRowAttributes(element, row)
    this.#drawHeader(element, row, row.edited && !row.deleted ? "edited" : "")
    this.#drawText(element, row.deleted ? deletedText(row) : row.message)
    this.#markMention(element)
    this.#drawReply(element, row.deleted ? undefined : row.reply_to)
    this.#drawReactions(element, row)
    drawFoldButton(element, Boolean(row.kind ?? row.deleted), this.#cloneTemplate)
    this.#drawSendError(element, undefined)
    labelButtons(element)
    this.#insert(element, row.seq)
  }

  /**
   * Draws an own message that is not stored yet.
   *
   * @param {Item} item
   */
  #drawItem(item) {
    const element = this.#elements.get(item.id) ?? this.#cloneTemplate("message")
    element.dataset.id = item.id
    element.dataset.side = "own"
    element.dataset.state = item.state === "failed" ? "failed" : "pending"
    this.#authorships.set(element, authorshipOf(OWN_AUTHOR, item.handle, item.timestamp))
    this.#drawHeader(element, { ...item, mark: "" }, "")
    this.#drawText(element, item.message)
    this.#drawReply(element, item.reply_to)
    this.#drawSendError(element, item)
    labelButtons(element)
    this.#insert(element, item.id)
  }

  /**
   * Makes an element the one of a stored message.
   *
   * @param {HTMLElement} element
   * @param {Row} row
   */
  #setRowAttributes(element, row) {
    const { seq, kind, mark, handle, timestamp } = row
    const side = mark === this.#reader.getMark() ? "own" : "other"
    delete element.dataset.id
    element.id = `m-${seq}`
    element.dataset.seq = String(seq)
    if (kind) element.dataset.kind = kind
    element.dataset.side = side
    element.dataset.state = stateOf(row)
    element.toggleAttribute("data-ignored", this.#reader.ignores(row))
    element.toggleAttribute("data-target", seq === this.#targetSeq)
    element.querySelector(".message__link")?.setAttribute("href", `#m-${seq}`)
    const author = kind ?? (side === "own" ? OWN_AUTHOR : mark)
    this.#authorships.set(element, authorshipOf(author, handle, timestamp))
  }

  /**
   * Name, mark, time and note.
   *
   * @param {HTMLElement} element
   * @param {Pick<Row, "handle" | "timestamp" | "mark" | "deleted">} message
   * @param {string} note
   */
  #drawHeader(element, { handle, timestamp, mark, deleted }, note) {
    setText(element, ".message__name", deleted ? handle : this.#shownName(element, handle))
    setMark(element, ".message__mark", mark)
    this.#setAuthor(element, element.dataset.kind ? "" : mark, handle)
    this.#showBadge(element)
    const avatar = /** @type {HTMLElement} */ (element.querySelector(".message__avatar"))
    setFace(avatar, mark ? this.#reader.faceOf(mark, handle) : null)
    setText(element, ".message__note", note)
    const time = setText(element, ".message__time", formatTime(timestamp))
    time.setAttribute("datetime", timestamp)
    time.title = formatFullTime(timestamp)
  }

  /**
   * How the author of a message is called above it. The sentence of a host's action is complete.
   *
   * @param {HTMLElement} element
   * @param {string} handle
   */
  #shownName(element, handle) {
    const { kind, side } = element.dataset
    if (kind === "moderation") return ""
    return kind && side === "own" ? YOU : handle || NAMELESS
  }

  /** @param {HTMLElement} element */
  #showBadge(element) {
    const author = this.#authors.get(element)
    if (author) setBadge(element, author.mark && this.#reader.roleOf(author.mark))
  }

  /**
   * @param {HTMLElement} element
   * @param {string} mark
   * @param {string} name
   */
  #setAuthor(element, mark, name) {
    this.#authors.set(element, { mark, name })
    if (!this.#comparedAuthors.has(`${mark}/${name}`)) this.#areNamesOutdated = true
    this.#showMark(element, name)
  }

  /** Shows the marks of people whose names are easily confused with those of others. */
  #updateMarks() {
    if (!this.#areNamesOutdated) return
    this.#areNamesOutdated = false
    const messages = this.#messages()
    const authors = messages.flatMap((message) => this.#authors.get(message) ?? [])
    this.#comparedAuthors = new Set(authors.map(({ mark, name }) => `${mark}/${name}`))
    this.#confusableNames = confusableNames([...authors, ...this.#presentPeople])
    for (const message of messages) this.#showMark(message, this.#authors.get(message)?.name ?? "")
  }

  /**
   * @param {HTMLElement} element
   * @param {string} name of its author
   */
  #showMark(element, name) {
    const mark = element.querySelector(".message__mark")
    mark?.toggleAttribute("data-shown", this.#confusableNames.has(name))
  }

  /**
   * @param {HTMLElement} element
   * @param {string} text
   */
  #drawText(element, text) {
    if (this.#texts.get(element) === text) return
    this.#texts.set(element, text)
    const { kind, side } = element.dataset
    if (kind) {
      setText(element, ".message__text", systemText(kind, text, side === "own"))
      return
    }
    try {
      const textElement = /** @type {HTMLElement} */ (element.querySelector(".message__text"))
      renderMarkdown(textElement, text)
      addCodeTools(textElement, this.#cloneTemplate)
    } catch {
      setText(element, ".message__text", RENDERING_FAILED) // the other messages are still drawn
    }
    collapseIfLong(element, text, this.#cloneTemplate)
  }

  /**
   * Emphasizes a message of somebody else that mentions the reader.
   *
   * @param {HTMLElement} element
   */
  #markMention(element) {
    const { side, state, kind } = element.dataset
    const isFromOther = side === "other" && state === "sent" && !kind
    const text = this.#texts.get(element) ?? ""
    const isMention = isFromOther && this.#reader.isMentionedIn(text)
    element.toggleAttribute("data-mentions-me", isMention)
  }

  /**
   * @param {HTMLElement} element
   * @param {number | undefined} seq of the message that it replies to
   */
  #drawReply(element, seq) {
    const original = seq ? this.#reader.getOriginal(seq) : undefined
    const isIgnored = original !== undefined && this.#reader.ignores(original)
    drawReply(element, seq, { original, isIgnored, cloneTemplate: this.#cloneTemplate })
  }

  /**
   * @param {HTMLElement} element
   * @param {Row} row
   */
  #drawReactions(element, { deleted, reactions = {} }) {
    const ownMark = this.#reader.getMark()
    const { faceOf } = this.#reader
    const options = { ownMark, faceOf, cloneTemplate: this.#cloneTemplate }
    drawReactions(element, deleted ? {} : reactions, options)
  }

  /**
   * Shows why an own message is not stored yet; if it was refused, with what the person can do.
   *
   * @param {HTMLElement} element
   * @param {Item | undefined} item
   */
  #drawSendError(element, item) {
    element.querySelector(".send-error")?.remove()
    if (!item?.reason) return
    const isFailed = item.state === "failed"
    const error = this.#cloneTemplate("send-error")
    const { suggestion } = item
    const reason = suggestion ? withoutSuggestion(item.reason, suggestion) : item.reason
    const text = isFailed ? reason : `${reason} Your message will be sent automatically.`
    setText(error, ".send-error__text", text)
    for (const button of error.querySelectorAll("button")) button.hidden = !isFailed
    const hiddenAction = suggestion === undefined ? "use-name" : "retry"
    error.querySelector(`[data-action="${hiddenAction}"]`)?.remove()
    if (suggestion !== undefined) setText(error, '[data-action="use-name"]', `Use "${suggestion}"`)
    element.append(error)
  }

  // Order, groups and days

  #messages() {
    return /** @type {HTMLElement[]} */ ([...this.#list.querySelectorAll(":scope > .message")])
  }

  /**
   * Puts an element where it belongs: in the order of seq, own messages without one last.
   *
   * @param {HTMLElement} element
   * @param {number | string} key
   */
  #insert(element, key) {
    const isKnown = this.#elements.get(key) === element
    this.#elements.set(key, element)
    if (!isKnown || !element.isConnected) this.#moveToPosition(element)
    this.#updateGrouping(element)
    const next = nextMessage(element)
    if (next) this.#updateGrouping(next)
  }

  /** @param {HTMLElement} element */
  #moveToPosition(element) {
    const previousNext = element.isConnected ? nextMessage(element) : null
    const next = this.#messageAfter(element)
    const hasMoved = !element.isConnected || previousNext !== next
    if (!hasMoved) return
    this.#list.insertBefore(element, dayDividerBefore(next) ?? next)
    if (previousNext) this.#updateGrouping(previousNext)
  }

  /**
   * The message before which an element belongs.
   *
   * @param {HTMLElement} element
   */
  #messageAfter(element) {
    const position = positionOf(element)
    let next = null
    let message = lastMessage(this.#list)
    while (message && (message === element || positionOf(message) > position)) {
      if (message !== element) next = message
      message = previousMessage(message)
    }
    return next
  }

  /** @param {number | string} key */
  #remove(key) {
    const element = this.#elements.get(key)
    if (!element) return
    const next = nextMessage(element)
    this.#elements.delete(key)
    dayDividerBefore(element)?.remove()
    element.remove()
    if (next) this.#updateGrouping(next)
  }

  /**
   * Updates whether a message continues a group, and the day divider above it.
   *
   * @param {HTMLElement} element
   */
  #updateGrouping(element) {
    const previous = previousMessage(element)
    const previousAuthorship = previous ? this.#authorships.get(previous) : undefined
    const authorship = this.#authorships.get(element)
    const isDrawn = authorship && (!previous || previousAuthorship)
    if (!isDrawn) return // the server has drawn it, or the message before
    element.toggleAttribute("data-grouped", continuesGroup(previousAuthorship, authorship))
    const existing = dayDividerBefore(element)
    if (!startsNewDay(previousAuthorship, authorship)) {
      existing?.remove()
      return
    }
    const dayDivider =
      existing ?? this.#list.insertBefore(this.#cloneTemplate("day-divider"), element)
    const time = setText(dayDivider, ".day-divider__text", formatDay(timestampOf(element)))
    time.setAttribute("datetime", authorship.day)
  }

  /** Puts the unread divider above the first message after its position, if that is loaded. */
  #drawUnreadDivider() {
    const divider = this.#unreadDivider
    const first = divider && this.#firstMessageAfter(divider.after)
    if (!first) {
      this.#unreadDividerElement?.remove()
      return
    }
    this.#unreadDividerElement ??= this.#cloneTemplate("unread-divider")
    setText(this.#unreadDividerElement, ".unread-divider__text", divider.text)
    if (this.#unreadDividerElement.parentElement === first) return
    first.prepend(this.#unreadDividerElement)
  }

  /**
   * The first message of the room after another one, if it is loaded.
   *
   * @param {number} seq
   */
  #firstMessageAfter(seq) {
    const messages = this.#messages()
    const first = messages.find((message) => isStoredAfter(message, seq))
    if (first !== messages[0] || this.#reader.isFirstLoaded()) return first
    return first && positionOf(first) === seq + 1 ? first : undefined
  }
}

/**
 * @param {string} kind
 * @param {string} text the new name
 * @param {boolean} isOwn
 */
function systemText(kind, text, isOwn) {
  if (kind === "moderation") return text
  if (kind === "rename") return `${isOwn ? "are" : "is"} now called ${text}`
  return text ? `named the room “${text}”` : "removed the room name"
}

/** @param {Row} row */
function stateOf({ deleted, pending }) {
  if (deleted) return "deleted"
  return pending ? "pending" : "sent"
}

/**
 * The seq of a message; own messages that are not stored yet come last.
 *
 * @param {HTMLElement} message
 */
function positionOf({ dataset }) {
  return dataset.seq === undefined ? Infinity : Number(dataset.seq)
}

/**
 * @param {HTMLElement} message
 * @param {number} seq
 */
function isStoredAfter(message, seq) {
  return message.dataset.seq !== undefined && positionOf(message) > seq
}

/** @param {HTMLElement} message */
function timestampOf(message) {
  return message.querySelector("time")?.dateTime ?? ""
}

/** @param {Element | null} message */
function dayDividerBefore(message) {
  const element = message?.previousElementSibling
  return element?.matches(".day-divider") ? /** @type {HTMLElement} */ (element) : null
}

/** @param {HTMLElement} list */
function lastMessage(list) {
  const last = list.lastElementChild
  if (!last || last.matches(".message")) return /** @type {HTMLElement | null} */ (last)
  return previousMessage(last)
}

/** @param {Element} element */
function previousMessage(element) {
  let previous = element.previousElementSibling
  while (previous && !previous.matches(".message")) previous = previous.previousElementSibling
  return /** @type {HTMLElement | null} */ (previous)
}

/** @param {Element} element */
function nextMessage(element) {
  let next = element.nextElementSibling
  while (next && !next.matches(".message")) next = next.nextElementSibling
  return /** @type {HTMLElement | null} */ (next)
}

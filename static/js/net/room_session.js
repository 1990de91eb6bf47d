// One room on the server: joins it, keeps the timeline complete, and sends what is in the outbox.

import { Refused, Unreachable } from "../lib/errors.js"
import { isBlank } from "../lib/text.js"

/** @import { Clock } from "../lib/clock.js" */
/** @import { Outbox } from "../state/outbox.js" */
/** @import { Timeline } from "../state/timeline.js" */
/** @import { Absence, Changes, Head, HistoryRequest, Item } from "../wire.js" */
/** @import { Joined, Moderated, Moderation, Page, Row, Stored } from "../wire.js" */
/** @import { Socket } from "./socket.js" */
/**
 * @typedef {"connecting" | "joined" | "refused" | "closed"} RoomState `closed`: the server has
 *   refused the room; `refused`: it refuses connections at present, and they are tried again
 */

const GAP_WAIT_MS = 200
const REQUEST_RETRY_DELAY_MS = 2000
const SAFETY_CHECK_MS = 60_000
const PROBE_TIMEOUT_MS = 3000
/** Refusals of the room that stay as they are, however often it is asked. */
const FINAL_REFUSALS = ["banned", "closed", "removed", "password_required"]

/**
 * Dispatches `state` when the state or its reason changes, `identity` with the person that the
 * server takes us for, and `joined` with the answer to `join`.
 */
export class RoomSession extends EventTarget {
  label
  /** The mark of this person in the room. */
  mark
  outbox
  /** @type {RoomState} */
  state = "connecting"
  /** Why the room is closed, or the connection refused; otherwise "". */
  refusalReason = ""
  /** The code of the refusal of a closed room; otherwise "". */
  refusalCode = ""
  /** When this person may enter the closed room again, in milliseconds since 1970; 0: never. */
  rejoinAt = 0
  #socket
  #timeline
  #clock
  /** Changes with every attempt to join: answers to earlier requests are outdated. */
  #generation = 0
  #isJoined = false
  #isCatchingUp = false
  #isFetchingQuotes = false
  /** Whether the timeline may differ from the server's, although no gap is known. */
  #needsCheck = false
  /** The last applied change when the last head came. */
  #appliedAtLastHead = 0
  /** @type {Row[]} live events that came before the answer to `join` */
  #rowsBeforeJoin = []
  #isCatchUpScheduled = false

  /**
   * @param {object} dependencies
   * @param {string} dependencies.label
   * @param {string} dependencies.mark
   * @param {Socket} dependencies.socket
   * @param {Timeline} dependencies.timeline
   * @param {(send: (item: Item) => Promise<Stored>) => Outbox} dependencies.createOutbox
   * @param {Clock} dependencies.clock
   */
  constructor({ label, mark, socket, timeline, createOutbox, clock }) {
    super()
    this.label = label
    this.mark = mark
    this.#socket = socket
    this.#timeline = timeline
    this.#clock = clock
    this.outbox = createOutbox((item) => this.#send(item))
    this.#listenToSocket()
    this.#listenToOutbox()
    this.#listenToTimeline()
    this.#scheduleSafetyCheck()
  }

  /** Resolves once the room is joined; never, while the server refuses the room. */
  async untilJoined() {
    while (this.state !== "joined") {
      await new Promise((resolve) => {
        this.addEventListener("state", resolve, { once: true })
      })
    }
  }

  // Requests

  /** Loads the page before the first loaded message; resolves with whether that worked. */
  async loadEarlier() {
    const request = this.#timeline.requestEarlier()
    const page = await this.#fetchHistory(request)
    this.#timeline.addEarlier(request, page)
    return this.#checkHistory(page)
  }

  /** Loads the page after the last loaded message; resolves with whether that worked. */
  async loadLater() {
    const request = this.#timeline.requestLater()
    const page = await this.#fetchHistory(request)
    this.#timeline.addLater(request, page)
    return this.#checkHistory(page)
  }

  /**
   * Replaces the loaded messages by those around another one; resolves with whether that worked.
   *
   * @param {number} [seq] undefined: the newest messages
   */
  async loadAround(seq) {
    const request = this.#timeline.requestAround(seq)
    const page = await this.#fetchHistory(request)
    this.#timeline.replaceWindow(request, page)
    return this.#checkHistory(page)
  }

  /**
   * Loads one message outside the window; resolves with whether the server has answered.
   *
   * @param {number} seq
   */
  async loadQuote(seq) {
    const page = await this.#fetchHistory({ around: seq, limit: 1 })
    if (!page) return false
    this.#timeline.addQuote(
      seq,
      page.messages.find((row) => row.seq === seq),
    )
    return true
  }

  /**
   * Asks how many messages are newer than another one. Only the answer to `join` contains that:
   * the room is joined once more, which changes nothing unless it is refused.
   *
   * @param {number} after
   * @returns {Promise<{ missed: number, messages: Row[] } | null>} the number, and some of them;
   *   null when there was no answer
   */
  async countMissed(after) {
    try {
      /** @type {Joined} */
      const answer = await this.#socket.request("join", { label: this.label, after })
      const { missed, messages, epoch } = answer
      const isSameHistory = epoch === this.#timeline.epoch
      return isSameHistory && missed !== undefined ? { missed, messages } : null
    } catch {
      this.#needsCheck = true // a join that was refused has left the room, even if unheard
      this.#scheduleCatchUp()
      return null
    }
  }

  /**
   * Changes the name of the room.
   *
   * @param {string} name
   * @param {string} handle of the person who changes it
   */
  setTitle(name, handle) {
    const payload = isBlank(handle) ? { name } : { name, handle }
    return this.#socket.request("title", payload)
  }

  /**
   * Announces another name of this person, if the room has seen the name before.
   *
   * @param {string} handle
   */
  rename(handle) {
    return this.#socket.request("rename", { handle })
  }

  /**
   * Performs an action of a host or moderator.
   *
   * @param {Moderation} moderation
   * @returns {Promise<Moderated>}
   */
  async moderate(moderation) {
    /** @type {Moderated} */
    const answer = await this.#socket.request("moderate", moderation)
    if (answer.head) this.#timeline.observeHead(answer.head)
    this.#scheduleCatchUp()
    return answer
  }

  /** Tries to enter the room again that has refused this person. */
  rejoin() {
    this.#setState("connecting")
    this.#socket.open()
  }

  /**
   * Checks whether the connection still works, and opens a new one if not: after the computer has
   * slept, a connection may be dead without an event.
   */
  async checkConnection() {
    if (!this.#isJoined) {
      this.#socket.retryNow()
      return
    }
    const generation = this.#generation
    const after = this.#timeline.applied
    try {
      const changes = await this.#socket.request("since", { after }, PROBE_TIMEOUT_MS)
      if (generation === this.#generation) this.#mergeChanges(changes, after)
    } catch (error) {
      if (generation !== this.#generation) return
      if (error instanceof Unreachable) this.#socket.reconnect()
      if (isNotJoined(error)) this.#joinAgain()
    }
  }

  // Events

  #listenToSocket() {
    this.#socket.addEventListener("connected", () => this.#join(this.#timeline.applied))
    this.#socket.addEventListener("disconnected", () => this.#leave())
    this.#socket.addEventListener("refused", (event) => {
      this.#handleRefusal(/** @type {CustomEvent<string>} */ (event).detail)
    })
    this.#socket.on("chat", (row) => this.#receiveRow(row))
    this.#socket.on("change", (row) => this.#receiveRow(row))
    this.#socket.on("head", (head) => this.#receiveHead(head))
  }

  #listenToOutbox() {
    this.outbox.addEventListener("change", (event) => {
      this.#timeline.addPending(/** @type {CustomEvent<Item>} */ (event).detail)
    })
    this.outbox.addEventListener("removed", (event) => {
      this.#timeline.removePending(/** @type {CustomEvent<string>} */ (event).detail)
    })
    this.outbox.addEventListener("sent", (event) => {
      const { detail } = /** @type {CustomEvent<{ item: Item, answer: Stored }>} */ (event)
      this.#confirmSent(detail.item, detail.answer)
    })
  }

  #listenToTimeline() {
    const confirmStored = () => this.outbox.confirmStored((id) => this.#timeline.rowById(id))
    this.#timeline.addEventListener("reset", confirmStored)
    this.#timeline.addEventListener("change", confirmStored)
    this.#timeline.addEventListener("missingquote", () => this.#fetchQuotes())
  }

  /** @param {Row} row */
  #receiveRow(row) {
    if (row.label !== this.label) return
    if (!this.#isJoined) {
      this.#rowsBeforeJoin.push(row)
      return
    }
    this.#timeline.applyLive(row)
    this.#scheduleCatchUp()
  }

  /** @param {Head} event */
  #receiveHead({ label, head, epoch, floor }) {
    if (label !== this.label || !this.#isJoined) return
    const isSameHistory = epoch === this.#timeline.epoch
    // A head is sent after the changes before it. If it is below what was applied when the last
    // head came, the server has lost changes. If it is below what is applied now, it is merely
    // late.
    const isLower = head < this.#appliedAtLastHead
    if (!isSameHistory || isLower) this.#needsCheck = true
    this.#appliedAtLastHead = this.#timeline.applied
    if (isSameHistory) {
      this.#timeline.observeHead(head)
      this.#timeline.raiseFloor(floor)
    }
    this.#scheduleCatchUp()
  }

  // Joining and leaving

  /**
   * Joins the room. The answer contains the changes that were missed.
   *
   * @param {number} [after] the last applied change; undefined: start over
   * @param {Absence | null} [absence]
   */
  async #join(after, absence) {
    this.#generation += 1
    const generation = this.#generation
    this.#isJoined = false
    this.#rowsBeforeJoin = []
    const payload = after === undefined ? { label: this.label } : { label: this.label, after }
    try {
      /** @type {Joined} */
      const answer = await this.#socket.request("join", payload)
      if (generation !== this.#generation) return
      if (after === undefined) this.#timeline.load(answer, absence)
      else if (!this.#mergeChanges(answer, after)) return
      this.#completeJoin(answer)
    } catch (error) {
      if (generation === this.#generation) this.#handleJoinError(error)
    }
  }

  /** @param {Joined} answer */
  #completeJoin(answer) {
    this.#isJoined = true
    this.mark = answer.you.mark
    this.#needsCheck = false
    this.#appliedAtLastHead = 0
    this.dispatchEvent(new CustomEvent("identity", { detail: answer.you }))
    this.dispatchEvent(new CustomEvent("joined", { detail: answer }))
    for (const row of this.#rowsBeforeJoin.splice(0)) this.#timeline.applyLive(row)
    this.outbox.resume()
    this.#catchUp()
    this.#fetchQuotes()
  }

  /** @param {unknown} error */
  #handleJoinError(error) {
    if (error instanceof Refused && !error.retry) {
      this.#close(error)
      return
    }
    const retryAfterMs = error instanceof Refused ? error.retryAfterMs : undefined
    const generation = this.#generation
    this.#clock.schedule(retryAfterMs || REQUEST_RETRY_DELAY_MS, () => {
      if (generation === this.#generation) this.#join(this.#timeline.applied)
    })
  }

  /**
   * The room has refused this person.
   *
   * @param {Refused} refusal
   */
  #close({ code, message, retryAfterMs }) {
    this.refusalCode = code
    this.rejoinAt = retryAfterMs === undefined ? 0 : this.#clock.now() + retryAfterMs
    this.#setState("closed", message)
    if (FINAL_REFUSALS.includes(code)) this.#socket.close()
  }

  /** Joins the room again, in which the server does not know this connection any more. */
  #joinAgain() {
    this.#leave()
    this.#join(this.#timeline.applied)
  }

  #leave() {
    this.#generation += 1
    this.#isJoined = false
    this.outbox.pause()
    const keepsReason = this.state === "closed" || this.state === "refused"
    if (!keepsReason) this.#setState("connecting")
  }

  /** @param {string} reason "" if the last attempt to connect was not refused */
  #handleRefusal(reason) {
    if (reason !== "") this.#setState("refused", reason)
    else if (this.state === "refused") this.#setState("connecting")
  }

  /**
   * @param {RoomState} state
   * @param {string} [reason]
   */
  #setState(state, reason = "") {
    if (state !== "closed") this.refusalCode = ""
    if (state === this.state && reason === this.refusalReason) return
    this.state = state
    this.refusalReason = reason
    this.dispatchEvent(new Event("state"))
  }

  // Catch-up

  /** Checks once a minute that nothing is missing, whatever the cause. */
  #scheduleSafetyCheck() {
    this.#clock.schedule(SAFETY_CHECK_MS, () => {
      this.#needsCheck = true
      this.#catchUp()
      this.#scheduleSafetyCheck()
    })
  }

  /**
   * Catches up soon, if changes are missing. Most are only late, and come during the delay.
   *
   * @param {number} [delayMs]
   */
  #scheduleCatchUp(delayMs = GAP_WAIT_MS) {
    if (this.#isCatchUpScheduled || this.#isCatchingUp) return
    if (!this.#timeline.isBehind && !this.#needsCheck) return
    this.#isCatchUpScheduled = true
    this.#clock.schedule(delayMs, () => {
      this.#isCatchUpScheduled = false
      this.#catchUp()
    })
  }

  async #catchUp() {
    if (this.#isCatchingUp || !this.#isJoined) return
    this.#isCatchingUp = true
    const hasAdvanced = await this.#fetchChanges().catch((error) => {
      if (isNotJoined(error)) this.#joinAgain()
      return false
    })
    this.#isCatchingUp = false
    if (this.#isJoined && !this.#timeline.isBehind) this.#setState("joined")
    this.#scheduleCatchUp(hasAdvanced ? GAP_WAIT_MS : REQUEST_RETRY_DELAY_MS)
  }

  /**
   * Fetches changes until none is missing.
   *
   * @returns {Promise<boolean>} false when that did not work
   */
  async #fetchChanges() {
    const generation = this.#generation
    while (this.#timeline.isBehind || this.#needsCheck) {
      const after = this.#timeline.applied
      /** @type {Changes} */
      const changes = await this.#socket.request("since", { after })
      if (generation !== this.#generation) return false
      this.#needsCheck = false
      if (!this.#mergeChanges(changes, after)) return false
      if (this.#timeline.isBehind && this.#timeline.applied === after) return false
    }
    return true
  }

  /**
   * Merges the changes after a known one, or joins again where that is impossible.
   *
   * @param {Changes & { missed?: number }} changes
   * @param {number} after
   * @returns {boolean} false when the room is joined again
   */
  #mergeChanges(changes, after) {
    const { epoch, head, upto, missed } = changes
    const isOtherHistory = epoch !== this.#timeline.epoch || head < after
    if (isOtherHistory) {
      this.#join()
      return false
    }
    const isComplete = upto >= head
    if (isComplete) {
      this.#timeline.merge(changes)
      return true
    }
    // More than one answer can hold. Only the answer to `join` says how many messages were missed.
    if (missed === undefined) this.#join(after)
    else this.#join(undefined, missed > 0 ? { after, missed } : null)
    return false
  }

  // History

  /**
   * @param {HistoryRequest} request
   * @returns {Promise<Page | null>} null when there was no answer
   */
  async #fetchHistory(request) {
    try {
      return await this.#socket.request("history", request)
    } catch (error) {
      const isRateLimited = error instanceof Refused && error.code === "rate_limited"
      if (!isRateLimited || !this.#isJoined) return null
      await this.#wait(error.retryAfterMs || REQUEST_RETRY_DELAY_MS)
      return this.#fetchHistory(request)
    }
  }

  /** @param {number} delayMs */
  #wait(delayMs) {
    return new Promise((resolve) => {
      this.#clock.schedule(delayMs, () => resolve(undefined))
    })
  }

  /** @param {Page | null} page */
  #checkHistory(page) {
    if (page && page.epoch !== this.#timeline.epoch) this.#needsCheck = true
    this.#scheduleCatchUp()
    return page !== null
  }

  /** Loads the messages that are replied to and not loaded, one by one. */
  async #fetchQuotes() {
    if (this.#isFetchingQuotes) return
    this.#isFetchingQuotes = true
    let seq = this.#timeline.missingQuote
    while (this.#isJoined && seq) {
      const isAnswered = await this.loadQuote(seq)
      if (!isAnswered) break
      seq = this.#timeline.missingQuote
    }
    this.#isFetchingQuotes = false
  }

  // Sending

  /**
   * @param {Item} item
   * @returns {Promise<Stored>}
   */
  async #send(item) {
    try {
      return await this.#socket.request(item.event ?? "chat", payloadOf(item))
    } catch (error) {
      if (!isNotJoined(error)) throw error
      this.#joinAgain()
      throw new Unreachable(error.message)
    }
  }

  /**
   * @param {Item} item
   * @param {Stored} answer
   */
  #confirmSent(item, answer) {
    if (item.event) this.#timeline.confirmChange(item.id, answer)
    else this.#timeline.confirmMessage(this.#rowOf(item, answer), answer)
    this.#scheduleCatchUp()
  }

  /**
   * The row of an own message, from the outbox and the answer. It has every key of the broadcast.
   *
   * @param {Item} item
   * @param {Stored} answer
   * @returns {Row}
   */
  #rowOf({ id, handle, message, reply_to }, { seq, rev, timestamp }) {
    const { label, mark } = this
    const row = { label, seq, rev, handle, message, timestamp, mark, id }
    return reply_to ? { ...row, reply_to } : row
  }
}

/**
 * Whether the server refused an event because this connection is in no room.
 *
 * @param {unknown} error
 * @returns {error is Refused}
 */
function isNotJoined(error) {
  return error instanceof Refused && error.code === "not_joined"
}

/** @param {Item} item */
function payloadOf({ event, id, handle, message, reply_to, seq, emoji, on }) {
  if (event === "edit") return { seq, message }
  if (event === "delete") return { seq }
  if (event === "react") return { seq, emoji, on }
  return reply_to ? { handle, message, id, reply_to } : { handle, message, id }
}

// One room as this browser sees it: enters it, keeps its timeline true, delivers what is said.

import { Refused, Unreachable } from "./answers.js"

/** @import { Clock } from "./clock.js" */
/** @import { Outbox } from "./outbox.js" */
/** @import { Socket } from "./socket.js" */
/** @import { Timeline } from "./timeline.js" */
/** @import { Away, Changes, Head, Item, Joined, Page, Question, Row, Stored } from "./wire.js" */
/** @typedef {"away" | "here" | "gone"} State */

const HOLD_MS = 200
const AGAIN_MS = 2000
const BELT_MS = 60_000
const PROBE_MS = 3000

/** Dispatches `state` when it comes, goes or is refused, `you` when the server says who we are, `people` who else is there. */
export class Room extends EventTarget {
  /** @type {State} */ state = "away"
  /** Why the room is gone. */ reason = ""
  label
  mark
  outbox
  #socket
  #timeline
  #clock
  #visit = 0
  #entered = false
  #fetching = false
  #quoting = false
  #doubt = false // what is shown here may not be what the server has
  #beaten = 0 // how far we had come at the last head we heard of
  /** @type {Row[]} */ #early = []
  /** @type {(() => void) | null} */ #holding = null

  /** @param {{ label: string, mark: string, socket: Socket, timeline: Timeline, outbox: (deliver: (item: Item) => Promise<Stored>) => Outbox, clock: Clock }} parts */
  constructor({ label, mark, socket, timeline, outbox, clock }) {
    super()
    this.label = label
    this.mark = mark
    this.#socket = socket
    this.#timeline = timeline
    this.#clock = clock
    this.outbox = outbox((item) => this.#deliver(item))
    this.#listen()
    this.#check()
  }

  /** The page before what is loaded. */
  earlier = () => this.#read(this.#timeline.askEarlier(), (asked, page) => this.#timeline.earlier(asked, page))
  /** The page after it, when what is loaded ends before the newest. */
  later = () => this.#read(this.#timeline.askLater(), (asked, page) => this.#timeline.later(asked, page))
  /** Another place instead of what is loaded; without one, the newest. @param {number} [around] */
  elsewhere = (around) => this.#read(this.#timeline.askElsewhere(around), (asked, page) => this.#timeline.elsewhere(asked, page))
  /** Gives the room another name. @param {string} name @param {string} handle who does */
  entitle = (name, handle) => this.#socket.ask("title", handle.trim() ? { name, handle } : { name })
  /** Is called otherwise from now on; the room is told, when it knows the name before. @param {string} handle */
  rename = (handle) => this.#socket.ask("rename", { handle })

  /** What is replied to stands further up than what is loaded: asked for one by one. */
  async #fetchQuoted() {
    if (this.#quoting) return
    this.#quoting = true
    for (let around; this.#entered && (around = this.#timeline.unknown); ) {
      /** @type {Page | null} */
      const page = await this.#socket.ask("history", { around, limit: 1 }).catch(() => null)
      if (!page) break
      this.#timeline.quote(around, page.messages.find(({ seq }) => seq === around))
    }
    this.#quoting = false
  }

  /** @param {Question} asked @param {(asked: Question, page: Page | null) => void} take */
  async #read(asked, take) {
    /** @type {Page | null} */
    const page = await this.#socket.ask("history", asked).catch(() => null)
    take(asked, page)
    this.#doubt ||= page !== null && page.epoch !== this.#timeline.epoch
    this.#watch()
    return page !== null
  }

  /** Is anybody there? After a sleep, a line may be dead and nobody has told us: then we take a new one. */
  async probe() {
    if (!this.#entered) return void this.#socket.tryNow()
    const visit = this.#visit
    const after = this.#timeline.applied
    try {
      const answer = await this.#socket.ask("since", { after }, PROBE_MS)
      if (visit === this.#visit) this.#take(answer, after)
    } catch (error) {
      if (visit === this.#visit && error instanceof Unreachable) this.#socket.rebuild()
    }
  }

  #listen() {
    const { socket, outbox, timeline } = { socket: this.#socket, outbox: this.outbox, timeline: this.#timeline }
    socket.addEventListener("up", () => this.#enter(timeline.applied))
    socket.addEventListener("down", () => this.#leave())
    socket.hear("chat", (row) => this.#hear(row))
    socket.hear("change", (row) => this.#hear(row))
    socket.hear("head", (head) => this.#compare(head))
    outbox.addEventListener("change", (event) => timeline.expect(/** @type {CustomEvent<Item>} */ (event).detail))
    outbox.addEventListener("gone", (event) => timeline.forget(/** @type {CustomEvent<string>} */ (event).detail))
    timeline.addEventListener("quoted", () => this.#fetchQuoted())
    outbox.addEventListener("sent", (event) => this.#sent(/** @type {CustomEvent<{ item: Item, answer: Stored }>} */ (event).detail))
    for (const change of ["reset", "change"]) timeline.addEventListener(change, () => outbox.settle((id) => timeline.find(id)))
  }

  /** Whatever went wrong in a way nobody has thought of, it lasts a minute. */
  #check() {
    this.#clock.later(BELT_MS, () => {
      this.#doubt = true
      this.#catchUp()
      this.#check()
    })
  }

  /** Joining answers with what was missed, so coming back is nothing special. @param {number} [after] without it: start over @param {Away | null} [away] */
  async #enter(after, away) {
    const visit = (this.#visit += 1)
    this.#entered = false
    this.#early = []
    try {
      /** @type {Joined} */
      const answer = await this.#socket.ask("join", after === undefined ? { label: this.label } : { label: this.label, after })
      if (visit !== this.#visit) return
      if (after === undefined) this.#timeline.load(answer, away)
      else if (!this.#take(answer, after)) return
      this.#arrive(answer)
    } catch (error) {
      if (visit === this.#visit) this.#turnedAway(error)
    }
  }

  /** @param {Joined} answer */
  #arrive(answer) {
    const { you } = answer
    this.#entered = true
    this.mark = you.mark
    this.#doubt = false
    this.#beaten = 0
    this.dispatchEvent(new CustomEvent("you", { detail: you }))
    this.dispatchEvent(new CustomEvent("people", { detail: answer }))
    for (const row of this.#early.splice(0)) this.#timeline.hear(row)
    this.outbox.wake()
    this.#catchUp()
    this.#fetchQuoted()
  }

  /** @param {unknown} error */
  #turnedAway(error) {
    if (error instanceof Refused && !error.retry) {
      this.reason = error.message
      this.#become("gone")
      return
    }
    const pause = (error instanceof Refused && error.retryAfterMs) || AGAIN_MS
    const visit = this.#visit
    this.#clock.later(pause, () => visit === this.#visit && this.#enter(this.#timeline.applied))
  }

  #leave() {
    this.#visit += 1
    this.#entered = false
    this.outbox.sleep()
    if (this.state !== "gone") this.#become("away")
  }

  /** @param {Row} row */
  #hear(row) {
    if (row.label !== this.label) return
    if (!this.#entered) return void this.#early.push(row)
    this.#timeline.hear(row)
    this.#watch()
  }

  /** @param {Head} said */
  #compare({ label, head, epoch }) {
    if (label !== this.label || !this.#entered) return
    // A head is told after what came before it, so one below where we were at the last head has lost something; one merely overtaken has not.
    this.#doubt ||= epoch !== this.#timeline.epoch || head < this.#beaten
    this.#beaten = this.#timeline.applied
    if (epoch === this.#timeline.epoch) this.#timeline.announce(head)
    this.#watch()
  }

  /** Something is missing: most often it is only late, so it gets a moment. @param {number} [pause] */
  #watch(pause = HOLD_MS) {
    if (this.#holding || this.#fetching || !(this.#timeline.behind || this.#doubt)) return
    this.#holding = this.#clock.later(pause, () => {
      this.#holding = null
      this.#catchUp()
    })
  }

  async #catchUp() {
    if (this.#fetching || !this.#entered) return
    this.#fetching = true
    const moved = await this.#fetchAll().catch(() => false)
    this.#fetching = false
    if (this.#entered && !this.#timeline.behind) this.#become("here")
    this.#watch(moved ? HOLD_MS : AGAIN_MS)
  }

  /** Fetches until nothing is missing. Says whether that brought us further. */
  async #fetchAll() {
    const visit = this.#visit
    while (this.#timeline.behind || this.#doubt) {
      const after = this.#timeline.applied
      /** @type {Changes} */
      const answer = await this.#socket.ask("since", { after })
      if (visit !== this.#visit) return false
      this.#doubt = false
      if (!this.#take(answer, after)) return false
      if (this.#timeline.behind && this.#timeline.applied === after) return false
    }
    return true
  }

  /** Merges what came after a change. Says no when the room has to be entered anew, and does so. @param {Changes & { missed?: number }} answer @param {number} after */
  #take(answer, after) {
    const { epoch, head, upto, missed } = answer
    // Another epoch, or a head below where we were: history is not the one shown here.
    if (epoch !== this.#timeline.epoch || head < after) this.#enter()
    // More than one answer holds: the newest page comes first, and reading back fills what is between.
    else if (upto < head) this.#enter(missed === undefined ? after : undefined, missed ? { after, missed } : null)
    else {
      this.#timeline.merge(answer)
      return true
    }
    return false
  }

  /** @param {{ item: Item, answer: Stored }} sent */
  #sent({ item, answer }) {
    const { label, mark } = this
    const { id, handle, message, reply_to } = item
    const { seq, rev, timestamp } = answer
    if (item.event) this.#timeline.changed(id, answer)
    else this.#timeline.stored({ label, seq, rev, handle, message, timestamp, mark, id, ...(reply_to && { reply_to }) }, answer)
    this.#watch()
  }

  /** @param {Item} item @returns {Promise<Stored>} */
  async #deliver(item) {
    try {
      return await this.#socket.ask(item.event ?? "chat", payload(item))
    } catch (error) {
      if (!(error instanceof Refused && error.code === "not_joined")) throw error
      this.#leave()
      this.#enter(this.#timeline.applied)
      throw new Unreachable(error.message)
    }
  }

  /** @param {State} state */
  #become(state) {
    if (state === this.state) return
    this.state = state
    this.dispatchEvent(new Event("state"))
  }
}

/** What an item asks of the server. @param {Item} item */
function payload({ event, id, handle, message, reply_to, seq, emoji, on }) {
  if (event === "edit") return { seq, message }
  if (event === "delete") return { seq }
  if (event === "react") return { seq, emoji, on }
  return reply_to ? { handle, message, id, reply_to } : { handle, message, id }
}

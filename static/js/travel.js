// Moving about in what was said: back page by page, to a message somebody has linked to, to the newest again, to where one was when this page was left.

/** @import { Clock } from "./clock.js" */
/** @import { MessageList } from "./message_list.js" */
/** @import { Room } from "./room.js" */
/** @import { Scroll } from "./scroll.js" */
/** @import { Timeline } from "./timeline.js" */
/** @typedef {{ seq: number, top: number }} Place a message, and how far below the upper edge it is; 0 is the end */

const MISSING = "That message is not here. This is the nearest one."
const UNREACHED = "That part cannot be reached now. Please try again when the connection is back."
const REST_MS = 200
const PERMALINK = /^#m-(\d{1,15})$/

export class Travel {
  #parts
  #moving = false

  /** @param {{ room: Room, timeline: Timeline, list: MessageList, scroll: Scroll, earlier: HTMLElement, tell: (words: string) => void }} parts */
  constructor(parts) {
    const { scroll, earlier } = parts
    this.#parts = parts
    earlier.addEventListener("click", () => this.back())
    scroll.addEventListener("beginning", () => this.back())
    scroll.addEventListener("ending", () => this.on())
    addEventListener("hashchange", () => this.follow(location.hash))
  }

  back() {
    return this.#one(this.#parts.timeline.older, async () => {
      this.#parts.earlier.textContent = "Loading…"
      await this.#parts.room.earlier()
      this.#parts.earlier.textContent = "Earlier messages"
    })
  }

  on() {
    return this.#one(this.#parts.timeline.newer, () => this.#parts.room.later())
  }

  /** To the newest message, loading it first when the reader is far back. */
  async latest() {
    if (this.#parts.timeline.newer && !(await this.#parts.room.elsewhere())) return this.#parts.tell(UNREACHED)
    this.#parts.scroll.toEnd()
  }

  /** A link to a message, as in the address bar. @param {string} hash */
  async follow(hash) {
    const seq = Number(PERMALINK.exec(hash)?.[1] ?? 0)
    if (seq) await this.to(seq)
  }

  /** @param {number} seq @param {boolean} [exactly] whether to say that it is another message */
  async to(seq, exactly = true) {
    const element = await this.#reach(seq)
    if (!element) return
    if (exactly && !this.#isLoaded(seq)) this.#parts.tell(MISSING)
    this.#parts.scroll.show(element)
    this.#parts.list.flash(element)
    element.focus({ preventScroll: true })
  }

  /** To where the reader was. @param {Place} place */
  async again({ seq, top }) {
    const element = seq ? await this.#reach(seq) : null
    if (element) this.#parts.scroll.put(element, top)
  }

  /** The message of a place or the nearest one, loaded where it was not. @param {number} seq */
  async #reach(seq) {
    if (this.#isLoaded(seq) || this.#between(seq) || (await this.#parts.room.elsewhere(seq))) return this.#parts.list.nearest(seq)
    this.#parts.tell(UNREACHED)
    return null
  }

  /** @param {number} seq */
  #isLoaded(seq) {
    return this.#parts.timeline.rows.some((row) => row.seq === seq)
  }

  /** It would be loaded if there were such a message. @param {number} seq */
  #between(seq) {
    const { rows, older, newer } = this.#parts.timeline
    return (!older || seq > (rows[0]?.seq ?? 0)) && (!newer || seq < (rows.at(-1)?.seq ?? 0))
  }

  /** One page at a time. @param {boolean} more @param {() => Promise<unknown>} move */
  async #one(more, move) {
    if (this.#moving || !more) return
    this.#moving = true
    await move().finally(() => (this.#moving = false))
  }
}

/** @returns {Place | null} where the reader was when this page was left */
export function keptPlace() {
  const { seq, top } = history.state ?? {}
  return Number.isFinite(seq) && Number.isFinite(top) ? { seq, top } : null
}

/** Kept in the browser's history: going back to this page, or loading it again, goes back there. @param {Scroll} scroll @param {Clock} clock */
export function keepPlace(scroll, clock) {
  const keep = () => history.replaceState(scroll.place, "")
  let callOff = () => {}
  scroll.addEventListener("moved", () => {
    callOff()
    callOff = clock.later(REST_MS, keep)
  })
  addEventListener("pagehide", keep)
}

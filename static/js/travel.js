// Moving about in what was said: back page by page, to a message somebody has linked to, to the newest again.

/** @import { MessageList } from "./message_list.js" */
/** @import { Place } from "./place.js" */
/** @import { Room } from "./room.js" */
/** @import { Scroll } from "./scroll.js" */
/** @import { Timeline } from "./timeline.js" */

const MISSING = "That message is not here. This is the nearest one."
const UNREACHED = "That part cannot be reached now. Please try again when the connection is back."
const PERMALINK = /^#m-(\d{1,15})$/

export class Travel {
  #room
  #timeline
  #list
  #scroll
  #earlier
  #tell
  #moving = false

  /** @param {{ room: Room, timeline: Timeline, list: MessageList, scroll: Scroll, earlier: HTMLElement, tell: (words: string) => void }} parts */
  constructor({ room, timeline, list, scroll, earlier, tell }) {
    this.#room = room
    this.#timeline = timeline
    this.#list = list
    this.#scroll = scroll
    this.#earlier = earlier
    this.#tell = tell
    earlier.addEventListener("click", () => this.back())
    scroll.addEventListener("beginning", () => this.back())
    scroll.addEventListener("ending", () => this.on())
    addEventListener("hashchange", () => this.follow(location.hash))
  }

  back() {
    return this.#one(this.#timeline.older, async () => {
      this.#earlier.textContent = "Loading…"
      await this.#room.earlier()
      this.#earlier.textContent = "Earlier messages"
    })
  }

  on() {
    return this.#one(this.#timeline.newer, () => this.#room.later())
  }

  /** To the newest message, loading it first when the reader is far back. */
  async latest() {
    if (this.#timeline.newer && !(await this.#room.elsewhere())) return this.#tell(UNREACHED)
    this.#scroll.toEnd()
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
    if (exactly && !this.#isLoaded(seq)) this.#tell(MISSING)
    this.#scroll.show(element)
    this.#list.flash(element)
    element.focus({ preventScroll: true })
  }

  /** To where the reader was. @param {Place} place */
  async again({ seq, top }) {
    const element = seq ? await this.#reach(seq) : null
    if (element) this.#scroll.put(element, top)
  }

  /** The message of a place or the nearest one, loaded where it was not. @param {number} seq */
  async #reach(seq) {
    if (this.#isLoaded(seq) || this.#between(seq) || (await this.#room.elsewhere(seq))) return this.#list.nearest(seq)
    this.#tell(UNREACHED)
    return null
  }

  /** @param {number} seq */
  #isLoaded(seq) {
    return this.#timeline.rows.some((row) => row.seq === seq)
  }

  /** It would be loaded if there were such a message. @param {number} seq */
  #between(seq) {
    const { rows, older, newer } = this.#timeline
    return (!older || seq > (rows[0]?.seq ?? 0)) && (!newer || seq < (rows.at(-1)?.seq ?? 0))
  }

  /** One page at a time. @param {boolean} more @param {() => Promise<unknown>} move */
  async #one(more, move) {
    if (this.#moving || !more) return
    this.#moving = true
    await move().finally(() => (this.#moving = false))
  }
}

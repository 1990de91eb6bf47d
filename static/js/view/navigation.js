// Moves through the history of the room: page by page, to a linked message, and to the newest one.

/** @import { RoomSession } from "../net/room_session.js" */
/** @import { Timeline } from "../state/timeline.js" */
/** @import { MessageList } from "./message_list.js" */
/** @import { ScrollPosition } from "./scroll_memory.js" */
/** @import { Scroller } from "./scroller.js" */
/** @typedef {Pick<RoomSession, "loadEarlier" | "loadLater" | "loadAround">} HistoryLoader */

const PERMALINK_PATTERN = /^#m-(\d{1,15})$/
const NOT_FOUND = "This message could not be found. Here is the closest one."
const NO_CONNECTION = "Couldn't load these messages. Please try again when you're back online."

export class Navigation {
  #loader
  #timeline
  #list
  #scroller
  #earlierButton
  #showError
  #isLoading = false

  /**
   * @param {object} dependencies
   * @param {HistoryLoader} dependencies.loader
   * @param {Timeline} dependencies.timeline
   * @param {MessageList} dependencies.list
   * @param {Scroller} dependencies.scroller
   * @param {HTMLElement} dependencies.earlierButton
   * @param {(text: string) => void} dependencies.showError
   */
  constructor({ loader, timeline, list, scroller, earlierButton, showError }) {
    this.#loader = loader
    this.#timeline = timeline
    this.#list = list
    this.#scroller = scroller
    this.#earlierButton = earlierButton
    this.#showError = showError
    earlierButton.addEventListener("click", () => this.loadEarlier())
    scroller.addEventListener("nearbeginning", () => this.loadEarlier())
    scroller.addEventListener("nearend", () => this.loadLater())
    addEventListener("hashchange", () => this.goToHash(location.hash))
  }

  /** @returns {Promise<boolean>} whether earlier messages were loaded */
  async loadEarlier() {
    if (!this.#timeline.hasOlder) return false
    return this.#loadOnce(async () => {
      this.#earlierButton.textContent = "Loading…"
      const isLoaded = await this.#loader.loadEarlier()
      this.#earlierButton.textContent = "Earlier messages"
      return isLoaded
    })
  }

  /**
   * Loads earlier messages until they fill the screen: those of ignored people take no space.
   */
  async fillScreen() {
    const { hasNewer } = this.#timeline
    let isLoaded = true
    // Stops where rows would be removed at the other end, to which the reader would return.
    while (isLoaded && this.#scroller.hasSpace && this.#timeline.hasNewer === hasNewer) {
      isLoaded = await this.loadEarlier()
    }
  }

  async loadLater() {
    if (!this.#timeline.hasNewer) return
    await this.#loadOnce(() => this.#loader.loadLater())
  }

  /** Scrolls to the newest message, and loads it first when the reader is far back. */
  async goToLatest() {
    if (this.#timeline.hasNewer) {
      const isLoaded = await this.#loader.loadAround()
      if (!isLoaded) {
        this.#showError(NO_CONNECTION)
        return
      }
    }
    this.#scroller.scrollToEnd()
  }

  /**
   * Goes to the message that a permalink names, as in the address bar.
   *
   * @param {string} hash
   */
  async goToHash(hash) {
    const match = PERMALINK_PATTERN.exec(hash)
    const seq = Number(match?.[1] ?? 0)
    if (seq > 0) await this.goToMessage(seq)
  }

  /**
   * Goes to a message, or to the nearest one.
   *
   * @param {number} seq
   * @param {{ isExact: boolean }} [options] `isExact`: say so if it is another message
   */
  async goToMessage(seq, { isExact } = { isExact: true }) {
    const element = await this.#findElement(seq)
    if (!element) return
    if (isExact && !this.#isLoaded(seq)) this.#showError(NOT_FOUND)
    this.#scroller.scrollTo(element)
    this.#list.highlight(element)
    element.focus({ preventScroll: true })
  }

  /** @param {ScrollPosition} position */
  async restore({ seq, top }) {
    if (seq === 0) return
    const element = await this.#findElement(seq)
    if (element) this.#scroller.scrollToOffset(element, top)
  }

  /**
   * The element of a message or of the nearest one, after loading it where necessary.
   *
   * @param {number} seq
   */
  async #findElement(seq) {
    const isReachable = this.#isInWindow(seq) || (await this.#loader.loadAround(seq))
    if (isReachable) return this.#list.nearest(seq)
    this.#showError(NO_CONNECTION)
    return null
  }

  /** @param {number} seq */
  #isLoaded(seq) {
    return this.#timeline.rows.some((row) => row.seq === seq)
  }

  /**
   * Whether the message is loaded, if it exists.
   *
   * @param {number} seq
   */
  #isInWindow(seq) {
    const { rows, hasOlder, hasNewer } = this.#timeline
    const firstSeq = rows.at(0)?.seq ?? 0
    const lastSeq = rows.at(-1)?.seq ?? 0
    return (!hasOlder || seq >= firstSeq) && (!hasNewer || seq <= lastSeq)
  }

  /**
   * Loads one page at a time.
   *
   * @param {() => Promise<boolean>} load
   * @returns {Promise<boolean>} whether it has worked; false while another page is loaded
   */
  async #loadOnce(load) {
    if (this.#isLoading) return false
    this.#isLoading = true
    try {
      return await load()
    } finally {
      this.#isLoading = false
    }
  }
}

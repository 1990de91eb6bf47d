// Where the reader is: at the end it follows, reading back it never moves what is being read.

const NEAR_PX = 100
const SOON_PX = 600
const REST_MS = 150
const FAR_VIEWS = 2

/** Dispatches `moved`, and `beginning` or `ending` when the reader has come to rest near the first or the last message that is loaded. */
export class Scroll extends EventTarget {
  #view
  #pill
  #whole
  #unseen = 0
  #drawnWhole = true
  #resting = 0

  /**
   * @param {HTMLElement} view laid out from its end: scrollTop is 0 there and negative above
   * @param {HTMLElement} pill
   * @param {() => boolean} whole whether the newest message is loaded: otherwise the end of the list is not the end
   */
  constructor(view, pill, whole) {
    super()
    this.#view = view
    this.#pill = pill
    this.#whole = whole
    view.addEventListener("scroll", () => this.#moved(), { passive: true })
  }

  /** As the reader sees it: what has become loaded just now is not there before it is drawn. */
  get atEnd() {
    return this.#view.scrollTop > -NEAR_PX && this.#drawnWhole
  }

  /** The first message in sight, unless the reader follows: then none. @returns {import("./travel.js").Place} */
  get place() {
    const first = this.atEnd ? undefined : this.#visible().find(({ message }) => message.dataset.seq !== undefined)
    return { seq: Number(first?.message.dataset.seq ?? 0), top: first ? first.top - this.#view.getBoundingClientRect().top : 0 }
  }

  /** Changes the list around the reader. @param {() => void} change */
  around(change) {
    const read = this.atEnd ? null : this.#visible()
    change()
    const held = read?.find(({ message }) => message.isConnected)
    if (held) this.#correct(held.message.getBoundingClientRect().top - held.top)
    else if (!read) this.#view.scrollTop = 0
    this.#tell()
  }

  /** So many new messages by others have come. @param {number} number */
  arrived(number) {
    if (!this.atEnd) this.#unseen += number
    this.#tell()
  }

  toEnd() {
    this.#view.scrollTop = 0
    this.#unseen = 0
    this.#tell()
  }

  /** @param {Element} element @param {"nearest" | "center"} [block] */
  show(element, block = "center") {
    element.scrollIntoView({ block })
    this.#tell()
  }

  /** Puts a message so far below the upper edge. @param {Element} element @param {number} top */
  put(element, top) {
    this.#view.scrollTop += element.getBoundingClientRect().top - this.#view.getBoundingClientRect().top - top
    this.#tell()
  }

  /** Whether the reader has passed it, or has it still above. @param {Element} element */
  isAbove(element) {
    return element.getBoundingClientRect().bottom < this.#view.getBoundingClientRect().top
  }

  #tell() {
    this.#drawnWhole = this.#whole()
    if (this.atEnd) this.#unseen = 0
    const far = -this.#view.scrollTop > this.#view.clientHeight * FAR_VIEWS || !this.#whole()
    const words = this.#unseen ? `${this.#unseen} new` : "Latest"
    this.#pill.hidden = !this.#unseen && !far
    if (this.#pill.textContent !== words) this.#pill.textContent = words
  }

  /** A fling that goes on would undo it. @param {number} by */
  #correct(by) {
    if (!by) return
    const { style } = this.#view
    if (matchMedia("(pointer: coarse)").matches) {
      style.overflow = "hidden"
      requestAnimationFrame(() => (style.overflow = ""))
    }
    this.#view.scrollTop += by
  }

  #moved() {
    this.#tell()
    this.dispatchEvent(new Event("moved"))
    clearTimeout(this.#resting)
    const { scrollHeight, clientHeight, scrollTop } = this.#view
    const beginning = scrollHeight - clientHeight + scrollTop <= SOON_PX
    if (!beginning && (this.#whole() || scrollTop < -SOON_PX)) return
    this.#resting = setTimeout(() => this.dispatchEvent(new Event(beginning ? "beginning" : "ending")), REST_MS)
  }

  #visible() {
    const { top, bottom } = this.#view.getBoundingClientRect()
    const messages = /** @type {HTMLElement[]} */ ([...this.#view.querySelectorAll(".message")]).map((message) => ({ message, box: message.getBoundingClientRect() }))
    return messages.filter(({ box }) => box.bottom > top && box.top < bottom).map(({ message, box }) => ({ message, top: box.top }))
  }
}

// Where the reader is: at the end it follows, reading back it never moves what is being read.

const NEAR_PX = 100
const SOON_PX = 600
const REST_MS = 150

/** Dispatches `beginning` when the reader has come to rest near the first message. */
export class Scroll extends EventTarget {
  #view
  #pill
  #unseen = 0
  #resting = 0

  /** @param {HTMLElement} view laid out from its end: scrollTop is 0 there and negative above @param {HTMLElement} pill */
  constructor(view, pill) {
    super()
    this.#view = view
    this.#pill = pill
    view.addEventListener("scroll", () => this.#moved(), { passive: true })
    pill.addEventListener("click", () => this.toEnd())
  }

  get atEnd() {
    return this.#view.scrollTop > -NEAR_PX
  }

  /** Changes the list around the reader. @param {() => void} change */
  around(change) {
    const read = this.atEnd ? [] : this.#visible()
    change()
    const held = read.find(({ message }) => message.isConnected)
    if (held) this.#view.scrollTop += held.message.getBoundingClientRect().top - held.top
    else this.toEnd()
  }

  /** So many new messages by others have come. @param {number} number */
  arrived(number) {
    if (!this.atEnd) this.#count(this.#unseen + number)
  }

  toEnd() {
    this.#view.scrollTop = 0
    this.#count(0)
  }

  /** @param {number} unseen */
  #count(unseen) {
    if (unseen === this.#unseen) return
    this.#unseen = unseen
    this.#pill.hidden = unseen === 0
    if (unseen) this.#pill.textContent = `${unseen} new`
  }

  #moved() {
    if (this.atEnd) this.#count(0)
    clearTimeout(this.#resting)
    const { scrollHeight, clientHeight, scrollTop } = this.#view
    if (scrollHeight - clientHeight + scrollTop > SOON_PX) return
    this.#resting = setTimeout(() => this.dispatchEvent(new Event("beginning")), REST_MS)
  }

  #visible() {
    const { top, bottom } = this.#view.getBoundingClientRect()
    const messages = [...this.#view.querySelectorAll(".message")].map((message) => ({ message, box: message.getBoundingClientRect() }))
    return messages.filter(({ box }) => box.bottom > top && box.top < bottom).map(({ message, box }) => ({ message, top: box.top }))
  }
}

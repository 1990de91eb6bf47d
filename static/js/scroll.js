// Where the reader is: at the end it follows, reading back it never moves what is being read.

const NEAR_PX = 100

export class Scroll {
  #view
  #pill
  #unseen = 0

  /** @param {HTMLElement} view laid out from its end: scrollTop is 0 there and negative above @param {HTMLElement} pill */
  constructor(view, pill) {
    this.#view = view
    this.#pill = pill
    view.addEventListener("scroll", () => this.atEnd && this.#count(0), { passive: true })
    pill.addEventListener("click", () => this.toEnd())
  }

  get atEnd() {
    return this.#view.scrollTop > -NEAR_PX
  }

  /** Changes the list around the reader. @param {() => void} change */
  around(change) {
    const held = this.atEnd ? undefined : this.#firstVisible()
    const top = held?.getBoundingClientRect().top ?? 0
    change()
    if (!held) this.toEnd()
    else if (held.isConnected) this.#view.scrollTop += held.getBoundingClientRect().top - top
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

  #firstVisible() {
    const top = this.#view.getBoundingClientRect().top
    const messages = this.#view.querySelectorAll(".message")
    return [...messages].find((message) => message.getBoundingClientRect().bottom > top)
  }
}

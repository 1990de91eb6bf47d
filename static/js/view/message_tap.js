// By touch, a tap on a message shows its time and the button of its menu; the next tap elsewhere
// hides them.

const HAS_OWN_TAP = "a, button"

export class MessageTap {
  #change
  /** @type {HTMLElement | null} the message that shows them */
  #tapped = null
  /** What the last pointer was: some browsers do not say it of a click. */
  #pointerType = ""

  /**
   * @param {HTMLElement} room contains the messages and everything that counts as elsewhere
   * @param {(change: () => void) => void} change makes a change that may move messages
   */
  constructor(room, change) {
    this.#change = change
    const capture = true
    room.addEventListener("pointerdown", (event) => this.#handlePointer(event), { capture })
    room.addEventListener("click", (event) => this.#handleClick(event))
  }

  /** @param {PointerEvent} event */
  #handlePointer({ pointerType }) {
    this.#pointerType = pointerType
  }

  /** @param {MouseEvent} event */
  #handleClick({ target }) {
    if (this.#pointerType !== "touch") return
    const element = /** @type {Element} */ (target)
    const message = /** @type {HTMLElement | null} */ (element.closest(".message"))
    const hasOwnTap = element.closest(HAS_OWN_TAP) !== null
    if (message && message === this.#tapped && hasOwnTap) return
    const isTapped = message !== null && message !== this.#tapped && !hasOwnTap
    this.#change(() => this.#show(isTapped ? message : null))
  }

  /** @param {HTMLElement | null} message */
  #show(message) {
    this.#tapped?.removeAttribute("data-tapped")
    this.#tapped = message
    message?.setAttribute("data-tapped", "")
  }
}

// Who is writing just now; it ends by itself, so that nobody writes for ever.

/** @import { Clock } from "./clock.js" */

const SHOWN_MS = 5000
const AGAIN_MS = 3000
const CROWD = 50

export class Typing {
  /** @type {Map<string, { handle: string, callOff: () => void }>} by mark */ #writing = new Map()
  #place
  #clock
  #told = -Infinity
  #draw = () => (this.#place.textContent = sentence([...this.#writing.values()].map(({ handle }) => handle)))

  /** @param {HTMLElement} place of a fixed height @param {Clock} clock */
  constructor(place, clock) {
    this.#place = place
    this.#clock = clock
  }

  /** @param {{ mark: string, handle: string }} who */
  hear({ mark, handle }) {
    this.stop(mark)
    this.#writing.set(mark, { handle, callOff: this.#clock.later(SHOWN_MS, () => this.stop(mark)) })
    this.#draw()
  }

  /** They have said it, or gone. @param {string} mark */
  stop(mark) {
    this.#writing.get(mark)?.callOff()
    if (this.#writing.delete(mark)) this.#draw()
  }

  /** This person is writing: whether it is time to tell. @param {number} people how many are here */
  isNews(people) {
    const now = this.#clock.now()
    if (people > CROWD || now - this.#told < AGAIN_MS) return false
    this.#told = now
    return true
  }
}

/** @param {string[]} names */
export function sentence(names) {
  const who = names.length > 2 ? `${names[0]} and ${names.length - 1} others` : names.join(" and ")
  return who && `${who} ${names.length === 1 ? "is" : "are"} typing`
}

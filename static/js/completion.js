// Names offered while somebody types @ and the beginning of one.

/** @import { Composer } from "./composer.js" */
/** @typedef {{ mark: string, name: string }} Person */

const BEGUN = /(?<![\p{L}\p{N}])@([^\n@]{0,40})$/u

/** What stands behind the @ before the caret, and where the @ is. @param {string} text up to the caret */
export function begunName(text) {
  const found = BEGUN.exec(text)
  return found && { begun: found[1], from: found.index }
}

export class Completion {
  #list
  #parts
  #at = 0
  #from = 0

  /** @param {HTMLElement} list @param {{ composer: Composer, meant: (begun: string) => Person[], option: () => HTMLElement }} parts */
  constructor(list, parts) {
    const { composer } = parts
    this.#list = list
    this.#parts = parts
    composer.addEventListener("typing", () => this.#offer())
    composer.field.addEventListener("blur", () => this.#close())
    composer.field.form?.addEventListener("keydown", (event) => this.#pressed(event), true) // before the composer sees it
    list.addEventListener("pointerdown", (event) => event.preventDefault()) // the words keep the focus
    list.addEventListener("click", ({ target }) => this.#take([...list.children].indexOf(/** @type {Element} */ (target))))
  }

  #offer() {
    const { field } = this.#parts.composer
    const { begun, from } = begunName(field.value.slice(0, field.selectionStart)) ?? { begun: null, from: 0 }
    const people = begun === null ? [] : this.#parts.meant(begun)
    if (!people.length) return this.#close()
    this.#from = from
    this.#list.hidden = false
    this.#list.replaceChildren(...people.map(({ name }) => Object.assign(this.#parts.option(), { textContent: name })))
    this.#choose(0)
  }

  /** @param {KeyboardEvent} event */
  #pressed(event) {
    if (this.#list.hidden || event.isComposing) return
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key]
    if (step) this.#choose(this.#at + step)
    else if (event.key === "Escape") this.#close()
    else if (event.key === "Tab" || (event.key === "Enter" && !event.shiftKey)) this.#take(this.#at)
    else return
    event.preventDefault()
  }

  /** @param {number} at */
  #choose(at) {
    const options = [...this.#list.children]
    this.#at = (at + options.length) % options.length
    for (const [place, option] of options.entries()) {
      option.id = `completion-${place}`
      option.ariaSelected = String(place === this.#at)
    }
    this.#parts.composer.field.setAttribute("aria-activedescendant", `completion-${this.#at}`)
  }

  /** @param {number} at */
  #take(at) {
    const name = this.#list.children[at]?.textContent
    this.#close()
    if (name) this.#parts.composer.insert(`@${name} `, this.#from)
  }

  #close() {
    this.#list.hidden = true
    this.#parts.composer.field.removeAttribute("aria-activedescendant")
  }
}

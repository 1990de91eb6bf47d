// Names offered while somebody types @ and the beginning of one.

/** @import { Composer } from "./composer.js" */

export const BEGUN = /(?<![\p{L}\p{N}])@([^\n@]{0,40})$/u // up to where one is

export class Completion {
  #list
  #parts
  #at = 0 // the name that Enter takes
  #from = 0 // where the @ is

  /** @param {HTMLElement} list @param {{ composer: Composer, meant: (begun: string) => { name: string }[], option: () => HTMLElement }} parts */
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
    const begun = BEGUN.exec(field.value.slice(0, field.selectionStart))
    const people = begun ? this.#parts.meant(begun[1]) : []
    if (!begun || !people.length) return this.#close()
    this.#from = begun.index
    this.#list.hidden = false
    this.#list.replaceChildren(...people.map(({ name }, place) => Object.assign(this.#parts.option(), { textContent: name, id: `completion-${place}` })))
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
    for (const option of options) option.ariaSelected = String(option === options[this.#at])
    this.#parts.composer.field.setAttribute("aria-activedescendant", options[this.#at].id)
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

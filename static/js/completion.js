// Names offered while somebody types @ and the beginning of one.

/** @import { Composer } from "./composer.js" */
/** @typedef {{ from: number, typed: string }} Mention the @ before the caret: where it is, and what is typed behind it */

export const BEGUN = /(?<![\p{L}\p{N}])@([^\n@]{0,40})$/u // up to where one is

export class Completion {
  #list
  #parts
  #at = 0 // the name that Enter takes
  #from = 0 // where the @ is whose names are offered
  /** @type {Mention | null} for which no names are offered any more: one was chosen, or Escape was pressed */ #closed = null

  /** @param {HTMLElement} list @param {{ composer: Composer, meant: (begun: string) => { name: string }[], option: () => HTMLElement }} parts */
  constructor(list, parts) {
    const { composer } = parts
    this.#list = list
    this.#parts = parts
    composer.addEventListener("typing", () => this.#offer())
    composer.field.addEventListener("blur", () => this.#close())
    composer.field.form?.addEventListener("submit", () => this.#close())
    composer.field.form?.addEventListener("keydown", (event) => this.#pressed(event), true) // before the composer sees it
    list.addEventListener("pointerdown", (event) => event.preventDefault()) // the words keep the focus
    list.addEventListener("click", ({ target }) => this.#take([...list.children].indexOf(/** @type {Element} */ (target))))
  }

  #offer() {
    const mention = this.#mention()
    const people = mention && !this.#isClosed(mention) ? this.#parts.meant(mention.typed) : []
    if (!mention || !people.length) return this.#close()
    this.#closed = null
    this.#from = mention.from
    this.#list.hidden = false
    this.#list.replaceChildren(...people.map(({ name }, place) => Object.assign(this.#parts.option(), { textContent: name, id: `completion-${place}` })))
    this.#choose(Math.max(people.findIndex(({ name }) => isWhole(mention, name)), 0))
  }

  /** @returns {Mention | null} */
  #mention() {
    const { field } = this.#parts.composer
    const begun = BEGUN.exec(field.value.slice(0, field.selectionStart))
    return begun && { from: begun.index, typed: begun[1] }
  }

  /** It is the same @ as long as it is followed by what followed it then; one that nothing follows is new. @param {Mention} mention */
  #isClosed({ from, typed }) {
    return typed !== "" && this.#closed?.from === from && typed.startsWith(this.#closed.typed)
  }

  /** @param {KeyboardEvent} event */
  #pressed(event) {
    if (this.#list.hidden || event.isComposing) return
    const mention = this.#mention()
    if (mention?.from !== this.#from) return this.#close() // the caret has left it
    if (this.#sends(event, mention)) return this.#end(mention)
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key]
    if (step) this.#choose(this.#at + step)
    else if (event.key === "Escape") this.#end(mention)
    else if (takesName(event)) this.#take(this.#at)
    else return
    event.preventDefault()
  }

  /** Whether this key is for the composer: Ctrl Enter always is, and Enter when there is nothing to complete. @param {KeyboardEvent} event @param {Mention} mention */
  #sends({ key, shiftKey, ctrlKey, metaKey }, mention) {
    const chosen = this.#list.children[this.#at]?.textContent ?? ""
    return key === "Enter" && !shiftKey && (ctrlKey || metaKey || isWhole(mention, chosen))
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
    const mention = this.#mention()
    if (!name || !mention) return this.#close()
    this.#end({ from: mention.from, typed: name })
    this.#parts.composer.insert(`@${name} `, mention.from)
  }

  /** Offers nothing more for this @. @param {Mention} mention */
  #end(mention) {
    this.#closed = mention
    this.#close()
  }

  #close() {
    this.#list.hidden = true
    this.#parts.composer.field.removeAttribute("aria-activedescendant")
  }
}

/** @param {KeyboardEvent} event */
const takesName = ({ key, shiftKey }) => key === "Tab" || (key === "Enter" && !shiftKey)

/** Whether all of a name is typed. @param {Mention} mention @param {string} name */
const isWhole = ({ typed }, name) => typed.trim() === name.trim()

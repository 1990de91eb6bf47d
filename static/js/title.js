// The room's name in the header: a press changes it in place, for everybody.

import { Refused } from "./answers.js"

const UNREACHED = "The name could not be changed: there is no connection now."

export class Title {
  #name
  #button
  #field
  #form
  #parts

  /** @param {HTMLElement} place @param {{ label: string, save: (name: string) => Promise<unknown>, tell: (words: string) => void }} parts */
  constructor(place, parts) {
    this.#name = /** @type {HTMLElement} */ (place.querySelector("h1"))
    this.#button = /** @type {HTMLButtonElement} */ (place.querySelector("button"))
    this.#form = /** @type {HTMLFormElement} */ (place.querySelector("form"))
    this.#field = /** @type {HTMLInputElement} */ (this.#form.querySelector("input"))
    this.#parts = parts
    this.#button.addEventListener("click", () => this.#edit(true))
    this.#field.addEventListener("blur", () => this.#finish())
    this.#field.addEventListener("keydown", (event) => {
      if (event.key === "Escape") {
        event.preventDefault()
        this.#edit(false)
      }
    })
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault()
      this.#finish()
    })
  }

  /** @param {string} name as everybody sees it now; the label when the room has none */
  show = (name) => (this.#name.textContent = name)

  /** @param {boolean} editing */
  #edit(editing) {
    const { textContent } = this.#name
    this.#form.hidden = !editing
    for (const shown of [this.#name, this.#button]) shown.hidden = editing
    if (!editing) return this.#button.focus()
    this.#field.value = textContent === this.#parts.label ? "" : (textContent ?? "")
    this.#field.focus()
    this.#field.select()
  }

  async #finish() {
    if (this.#form.hidden) return
    const name = this.#field.value.trim()
    const before = this.#name.textContent ?? ""
    this.#edit(false)
    if ((name || this.#parts.label) === before) return
    this.show(name || this.#parts.label)
    try {
      await this.#parts.save(name)
    } catch (error) {
      this.show(before)
      this.#parts.tell(error instanceof Refused ? error.message : UNREACHED)
    }
  }
}

// The name of the room in the header, which everybody in the room can change.

import { Refused } from "../lib/errors.js"
import { isBlank } from "../lib/text.js"
import { isForInputMethod } from "./input_method.js"

const NO_CONNECTION = "Couldn't change the room name: there is no connection. Please try again."

export class RoomTitle {
  #heading
  #button
  #form
  #field
  #label
  #save
  #showError
  /** What was typed when the field lost the focus. */
  #unsavedName = ""

  /**
   * @param {HTMLElement} container
   * @param {object} dependencies
   * @param {string} dependencies.label shown where the room has no name
   * @param {(name: string) => Promise<unknown>} dependencies.save
   * @param {(text: string) => void} dependencies.showError
   */
  constructor(container, { label, save, showError }) {
    this.#heading = /** @type {HTMLElement} */ (container.querySelector("h1"))
    this.#button = /** @type {HTMLButtonElement} */ (container.querySelector("button"))
    this.#form = /** @type {HTMLFormElement} */ (container.querySelector("form"))
    this.#field = /** @type {HTMLInputElement} */ (this.#form.querySelector("input"))
    this.#label = label
    this.#save = save
    this.#showError = showError
    this.#form.noValidate = true // `maxlength` counts an emoji as two characters, unlike the server
    this.#addListeners()
  }

  /** @param {string} title the name of the room, or its label when it has none */
  show(title) {
    this.#heading.textContent = title
  }

  #addListeners() {
    this.#button.addEventListener("click", () => this.#startEditing())
    this.#form.addEventListener("focusout", ({ relatedTarget }) => {
      const isInForm = this.#form.contains(/** @type {Node | null} */ (relatedTarget))
      const isInPage = document.hasFocus() // otherwise the window has lost the focus
      if (isInPage && !isInForm) this.#suspendEditing()
    })
    this.#field.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || isForInputMethod(event)) return
      event.preventDefault()
      this.#stopEditing()
    })
    // The button must not take the focus: some browsers would not say where it went.
    const saveButton = this.#form.querySelector("button")
    saveButton?.addEventListener("pointerdown", (event) => event.preventDefault())
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault()
      this.#finish()
    })
  }

  #startEditing() {
    const title = this.#heading.textContent ?? ""
    this.#showForm(true)
    this.#field.value = this.#unsavedName || (title === this.#label ? "" : title)
    this.#unsavedName = ""
    this.#field.focus()
    this.#field.select()
  }

  #stopEditing() {
    this.#showForm(false)
    this.#button.focus()
  }

  /** Shows the name of the room; what was typed is there when the name is edited again. */
  #suspendEditing() {
    if (this.#form.hidden) return // hiding the focused field moves the focus once more
    this.#unsavedName = this.#field.value.trim()
    this.#showForm(false)
  }

  /** @param {boolean} isVisible */
  #showForm(isVisible) {
    this.#form.hidden = !isVisible
    this.#heading.hidden = isVisible
    this.#button.hidden = isVisible
  }

  async #finish() {
    const typed = this.#field.value.trim()
    const name = isBlank(typed) ? "" : typed
    const title = name || this.#label
    const previousTitle = this.#heading.textContent ?? ""
    this.#stopEditing()
    if (title === previousTitle) return
    this.show(title)
    try {
      await this.#save(name)
    } catch (error) {
      this.show(previousTitle)
      this.#showError(error instanceof Refused ? error.message : NO_CONNECTION)
    }
  }
}

// The box you type in: it is never disabled and never loses words.

/** @import { Storage } from "./storage.js" */

const NAME_KEY = "name"
const NAMELESS = "Add your name first, then send."
const FULL = "A hundred messages are waiting to be sent. This one stays here until there is room."

/** Dispatches `say` with the handle and the message, and keeps the words when that is prevented: then they are kept nowhere else. */
export class Composer extends EventTarget {
  #form
  #name
  #text
  #hint
  #storage
  #touch

  /** @param {HTMLFormElement} form @param {Storage} storage @param {boolean} touch no keyboard but the one on the screen */
  constructor(form, storage, touch) {
    super()
    const field = (/** @type {string} */ name) => form.elements.namedItem(name)
    this.#form = form
    this.#name = /** @type {HTMLInputElement} */ (field("handle"))
    this.#text = /** @type {HTMLTextAreaElement} */ (field("message"))
    this.#hint = /** @type {HTMLElement} */ (form.querySelector(".composer__hint"))
    this.#storage = storage
    this.#touch = touch
    this.#name.value ||= storage.get(NAME_KEY) ?? ""
    this.#listen()
    if (!touch) this.#text.focus()
  }

  /** What this person is called. */
  get name() {
    return this.#name.value
  }

  /** Where one types. */
  get field() {
    return this.#text
  }

  /** Gives words back to be changed, above what stands here already. @param {string} text */
  takeBack(text) {
    this.#text.value = [text, this.#text.value].filter(Boolean).join("\n")
    this.#grow()
    this.#text.focus()
  }

  #listen() {
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault()
      this.#send()
    })
    this.#text.addEventListener("keydown", (event) => this.#pressed(event))
    this.#text.addEventListener("input", () => this.#grow())
    this.#name.addEventListener("input", () => this.#explain(""))
    this.#name.addEventListener("change", () => this.#storage.set(NAME_KEY, this.#name.value))
    // Pressing the button must not take the keyboard away from under the thumb.
    this.#form.querySelector("button")?.addEventListener("pointerdown", (event) => event.preventDefault())
  }

  /** @param {KeyboardEvent} event */
  #pressed(event) {
    if (event.key !== "Enter" || event.shiftKey || event.altKey) return
    if (event.isComposing || event.keyCode === 229) return // this Enter belongs to the input method
    if (this.#touch && !event.ctrlKey && !event.metaKey) return
    event.preventDefault()
    this.#send()
  }

  #send() {
    const handle = this.#name.value
    const message = this.#text.value
    if (!message.trim()) return this.#text.focus()
    if (!handle.trim()) {
      this.#explain(NAMELESS, true)
      return this.#name.focus()
    }
    this.#storage.set(NAME_KEY, handle)
    const taken = this.dispatchEvent(new CustomEvent("say", { detail: { handle, message }, cancelable: true }))
    this.#explain(taken ? "" : FULL)
    if (!taken) return
    this.#text.value = ""
    this.#grow()
    this.#text.focus()
  }

  /** @param {string} why @param {boolean} [name] whether it is the name's fault */
  #explain(why, name = false) {
    this.#hint.textContent = why
    this.#name.ariaInvalid = String(name)
  }

  /** As tall as its text, for browsers that cannot do that by themselves. */
  #grow() {
    if (CSS.supports("field-sizing", "content")) return
    this.#text.style.height = "auto"
    this.#text.style.height = `${this.#text.scrollHeight}px`
  }
}

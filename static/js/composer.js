// The box you type in: it is never disabled and never loses words.

import { order } from "./commands.js"
import { lengthOf, parts } from "./length.js"

/** @import { Draft, Drafts, Mode } from "./drafts.js" */
/** @import { Storage } from "./storage.js" */
/** @typedef {{ words: string, work: () => void }} Way what one can do about it */

const NAME_KEY = "name"
const NAMELESS = "Add your name first, then send."
const FULL = "A hundred messages are waiting to be sent. This one stays here until there is room."
const KEPT = "Not changed. What you wrote comes back when you edit it again."
const NEAR = 0.9 // of what is allowed, from where on it is counted

/**
 * Dispatches `say` with the handle, the message and the mode, and keeps the words when that is prevented: then they are kept
 * nowhere else; `command`, `named` with another name, `typing`, and `last` when somebody wants to edit what they said last.
 */
export class Composer extends EventTarget {
  #form
  #name
  #text
  #bar
  #hint
  #way
  #storage
  #drafts
  #touch
  /** @type {Mode | null} */ #mode = null
  #aside = "" // what was being written before something else is edited
  /** @type {Map<number, string>} by place: edits that were given up */ #givenUp = new Map()
  #work = () => {}

  /** @param {HTMLFormElement} form @param {{ storage: Storage, drafts: Drafts, touch: boolean }} parts `touch`: no keyboard but the one on the screen */
  constructor(form, { storage, drafts, touch }) {
    super()
    const field = (/** @type {string} */ name) => form.elements.namedItem(name)
    const part = (/** @type {string} */ name) => /** @type {HTMLElement} */ (form.querySelector(`.composer__${name}`))
    this.#form = form
    this.#name = /** @type {HTMLInputElement} */ (field("handle"))
    this.#text = /** @type {HTMLTextAreaElement} */ (field("message"))
    this.#bar = part("bar")
    this.#hint = part("hint")
    this.#way = part("way")
    this.#storage = storage
    this.#drafts = drafts
    this.#touch = touch
    this.#name.value ||= storage.get(NAME_KEY) ?? ""
    this.#restore(drafts.read())
    this.#listen()
    if (!touch) this.#text.focus()
  }

  /** What this person is called. */
  get name() {
    return this.#name.value
  }

  set name(name) {
    this.#name.value = name
    this.#named()
  }

  /** Where one types. */
  get field() {
    return this.#text
  }

  /** Where one says who one is. */
  get nameField() {
    return this.#name
  }

  /** Gives words back to be changed, above what stands here already. @param {string} text @param {string} [why] */
  takeBack(text, why = "") {
    this.cancel()
    this.#write([text, this.#text.value].filter(Boolean).join("\n"))
    this.explain(why)
  }

  /** The next words reply to a message. @param {number} seq @param {string} words */
  reply(seq, words) {
    this.cancel()
    this.#turn({ reply_to: seq, words })
    this.#write(this.#text.value)
  }

  /** The next words replace those of a message; what was being written comes back afterwards. @param {number} seq @param {string} text */
  edit(seq, text) {
    this.cancel()
    this.#aside = this.#text.value
    this.#turn({ edit: seq, text, words: "Editing your message" })
    this.#write(this.#givenUp.get(seq) ?? text)
  }

  /** Neither reply nor edit; nothing that was written is lost. Says whether there was either. */
  cancel() {
    if (!this.#mode) return false
    const { edit, text } = this.#mode
    const { value } = this.#text
    this.#turn(null)
    if (edit && value !== text) {
      this.#givenUp.set(edit, value)
      this.explain(KEPT)
    }
    this.#write(edit ? this.#aside : value)
    return true
  }

  /** Puts words where one writes. @param {string} text @param {number} [from] what is replaced, up to where one is */
  insert(text, from = this.#text.selectionStart) {
    this.#text.focus()
    this.#text.setRangeText(text, from, this.#text.selectionEnd, "end")
    this.#typed()
  }

  /** @param {string} why @param {Way | null} [way] */
  explain(why, way = null) {
    const [words] = this.#hint.children
    words.textContent = why
    this.#way.textContent = way?.words ?? ""
    this.#way.hidden = !way
    this.#work = way?.work ?? (() => {})
  }

  #listen() {
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault()
      this.#send()
    })
    this.#text.addEventListener("keydown", (event) => this.#pressed(event))
    this.#text.addEventListener("input", (event) => this.#typed(/** @type {InputEvent} */ (event)))
    this.#name.addEventListener("input", () => this.#blame(""))
    this.#name.addEventListener("change", () => this.#named())
    this.#way.addEventListener("click", () => this.#work())
    this.#bar.querySelector("button")?.addEventListener("click", () => (this.cancel(), this.#text.focus()))
    // Pressing the button must not take the keyboard away from under the thumb.
    this.#form.querySelector(".composer__send")?.addEventListener("pointerdown", (event) => event.preventDefault())
  }

  /** @param {KeyboardEvent} event */
  #pressed(event) {
    if (event.defaultPrevented || event.isComposing || event.keyCode === 229) return // this key belongs to the input method
    if (event.key === "ArrowUp" && !this.#text.value && !this.#mode) this.dispatchEvent(new CustomEvent("last", { detail: event }))
    if (!this.#sends(event)) return
    event.preventDefault()
    this.#send()
  }

  /** @param {KeyboardEvent} event */
  #sends({ key, shiftKey, altKey, ctrlKey, metaKey }) {
    return key === "Enter" && !shiftKey && !altKey && (!this.#touch || ctrlKey || metaKey)
  }

  #send() {
    const text = this.#text.value
    if (!text.trim() && !this.#mode?.edit) return this.#text.focus()
    const wish = this.#mode?.edit ? { say: text } : order(text)
    if ("say" in wish) return this.#say(wish.say)
    if ("wrong" in wish) return this.explain(wish.wrong, { words: "Send it as text", work: () => this.#say(text) })
    this.#done()
    this.dispatchEvent(new CustomEvent("command", { detail: wish }))
  }

  /** @param {string} message */
  #say(message) {
    const handle = this.#name.value
    if (lengthOf(message) > this.#most) return this.#tooLong(message)
    if (!handle.trim()) {
      this.#blame(NAMELESS)
      return this.#name.focus()
    }
    this.#storage.set(NAME_KEY, handle)
    if (this.#offer(message)) this.#done()
  }

  /** Whether somebody has taken it. @param {string} message */
  #offer(message) {
    const { edit, reply_to } = this.#mode ?? {}
    const taken = this.dispatchEvent(new CustomEvent("say", { detail: { handle: this.#name.value, message, edit, reply_to }, cancelable: true }))
    this.#blame("")
    if (!taken) this.explain(FULL)
    return taken
  }

  #done() {
    if (this.#mode?.edit) this.#givenUp.delete(this.#mode.edit)
    const text = this.#mode?.edit ? this.#aside : ""
    this.#turn(null)
    this.explain("")
    this.#write(text)
    this.#drafts.replace({ text })
  }

  /** @param {string} message */
  #tooLong(message) {
    const over = lengthOf(message) - this.#most
    const all = parts(message, this.#most)
    const way = { words: `Send it as ${all.length} messages`, work: () => all.every((part) => this.#offer(part)) && this.#done() }
    this.explain(`This is ${over.toLocaleString()} characters longer than a message may be.`, this.#mode?.edit || !this.name.trim() ? null : way)
  }

  get #most() {
    return Number(this.#text.dataset.most)
  }

  /** @param {InputEvent} [event] */
  #typed(event) {
    this.#grow()
    this.#count()
    this.explain("")
    if (event?.inputType === "insertFromPaste" && lengthOf(this.#text.value) > this.#most) this.#tooLong(this.#text.value)
    this.#keep()
    this.dispatchEvent(new Event("typing"))
  }

  #named() {
    this.#storage.set(NAME_KEY, this.#name.value)
    this.#blame("")
    this.dispatchEvent(new Event("named"))
  }

  /** It is the name's fault. @param {string} why */
  #blame(why) {
    this.explain(why)
    this.#name.ariaInvalid = String(why !== "")
  }

  /** @param {Draft} draft */
  #restore({ text, mode = null, aside = "" }) {
    this.#text.value ||= text
    this.#aside = aside
    this.#turn(mode)
    this.#grow()
    this.#count()
  }

  /** @param {string} text */
  #write(text) {
    this.#text.value = text
    this.#grow()
    this.#count()
    this.#keep()
    this.#text.focus()
  }

  /** @param {Mode | null} mode */
  #turn(mode) {
    this.#mode = mode
    this.#bar.hidden = !mode
    const [words] = this.#bar.children
    words.textContent = mode?.words ?? ""
  }

  #keep() {
    this.#drafts.keep({ text: this.#text.value, mode: this.#mode, aside: this.#aside })
  }

  #count() {
    const left = this.#most - lengthOf(this.#text.value)
    const near = left <= this.#most * (1 - NEAR)
    const count = /** @type {HTMLElement} */ (this.#form.querySelector(".composer__count"))
    count.textContent = !near ? "" : left < 0 ? `${(-left).toLocaleString()} too many` : `${left.toLocaleString()} left`
    count.toggleAttribute("data-over", left < 0)
  }

  /** As tall as its text, for browsers that cannot do that by themselves. */
  #grow() {
    if (CSS.supports("field-sizing", "content")) return
    this.#text.style.height = "auto"
    this.#text.style.height = `${this.#text.scrollHeight}px`
  }
}

// The box you type in: it is never disabled and never loses words.

import { MAX_WAITING } from "./outbox.js"
import { lengthOf, order, parts } from "./text.js"

/** @import { Draft, Drafts, Mode, Storage } from "./storage.js" */
/** @import { Row } from "./wire.js" */
/** @typedef {{ words: string, work: () => void }} Way what one can do about it */

const NAME_KEY = "name"
const NAMELESS = "Add your name first, then send."
const FULL = "Too many messages are waiting to be sent. Your text stays here until there is room for it."
const KEPT = "Not changed. What you wrote comes back when you edit it again."
const NEAR = 0.9 // of what is allowed, from where on it is counted

/**
 * Dispatches `say` with the handle, the messages and the mode, and keeps the words when that is prevented: then they are kept
 * nowhere else; `command`, `named` with another name, and `typing`.
 */
export class Composer extends EventTarget {
  field // where one types
  nameField
  #form
  #parts
  #most // characters of a message
  /** @type {Mode | null} */ #mode = null
  #aside = "" // what was being written before something else is edited
  /** @type {Map<number, string>} by place: edits that were given up */ #givenUp = new Map()
  /** @type {Way | null} */ #way = null
  #part = (/** @type {string} */ name) => /** @type {HTMLElement} */ (this.#form.querySelector(`.composer__${name}`))

  /** @param {HTMLFormElement} form @param {{ storage: Storage, drafts: Drafts, touch: boolean, last: () => Row | undefined }} own `touch`: no keyboard but the one on the screen; `last` was said by this person */
  constructor(form, own) {
    super()
    this.#form = form
    this.#parts = own
    this.nameField = /** @type {HTMLInputElement} */ (form.elements.namedItem("handle"))
    this.field = /** @type {HTMLTextAreaElement} */ (form.elements.namedItem("message"))
    this.#most = Number(this.field.dataset.most)
    this.nameField.value ||= own.storage.get(NAME_KEY) ?? ""
    this.#restore(own.drafts.read())
    this.#listen()
    if (!own.touch) this.field.focus()
  }

  /** What this person is called. */
  get name() {
    return this.nameField.value
  }

  set name(name) {
    this.nameField.value = name
    this.#named()
  }

  /** Gives words back to be changed, above what stands here already. @param {string} text @param {string} [why] */
  takeBack(text, why = "") {
    this.cancel()
    this.#write([text, this.field.value].filter(Boolean).join("\n"))
    this.explain(why)
  }

  /** The next words reply to a message. @param {number} seq @param {string} words */
  reply(seq, words) {
    this.cancel()
    this.#turn({ reply_to: seq, words })
    this.#write(this.field.value)
  }

  /** The next words replace those of a message; what was being written comes back afterwards. @param {number} seq @param {string} text */
  edit(seq, text) {
    this.cancel()
    this.#aside = this.field.value
    this.#turn({ edit: seq, text, words: "Editing your message" })
    this.#write(this.#givenUp.get(seq) ?? text)
  }

  /** Neither reply nor edit; nothing that was written is lost. Says whether there was either. */
  cancel() {
    if (!this.#mode) return false
    const { edit, text } = this.#mode
    const { value } = this.field
    this.#turn(null)
    if (edit && value !== text) {
      this.#givenUp.set(edit, value)
      this.explain(KEPT)
    }
    this.#write(edit ? this.#aside : value)
    return true
  }

  /** Puts words where one writes. @param {string} text @param {number} [from] what is replaced, up to where one is */
  insert(text, from = this.field.selectionStart) {
    this.field.focus()
    this.field.setRangeText(text, from, this.field.selectionEnd, "end")
    this.#typed()
  }

  /** @param {string} why @param {Way | null} [way] */
  explain(why, way = null) {
    const [words, button] = this.#part("hint").children
    words.textContent = why
    button.textContent = way?.words ?? ""
    button.toggleAttribute("hidden", !way)
    this.nameField.ariaInvalid = String(why === NAMELESS)
    this.#way = way
  }

  #listen() {
    this.#form.addEventListener("submit", (event) => (event.preventDefault(), this.#send()))
    this.field.addEventListener("keydown", (event) => this.#pressed(event))
    this.field.addEventListener("input", (event) => this.#typed(/** @type {InputEvent} */ (event)))
    this.nameField.addEventListener("input", () => this.explain(""))
    this.nameField.addEventListener("change", () => this.#named())
    this.#part("way").addEventListener("click", () => this.#way?.work())
    this.#part("bar").addEventListener("click", ({ target }) => target instanceof Element && target.closest("button") && this.cancel())
    // Pressing the button must not take the keyboard away from under the thumb.
    this.#part("send").addEventListener("pointerdown", (event) => event.preventDefault())
  }

  /** @param {KeyboardEvent} event */
  #pressed(event) {
    if (event.defaultPrevented || event.isComposing || event.keyCode === 229) return // this key belongs to the input method
    const last = event.key === "ArrowUp" && !this.field.value && !this.#mode && this.#parts.last()
    if (last) this.edit(last.seq, last.message)
    else if (sends(event, this.#parts.touch)) this.#send()
    else return
    event.preventDefault()
  }

  #send() {
    const text = this.field.value
    if (!text.trim() && !this.#mode?.edit) return this.field.focus()
    const wish = this.#mode?.edit ? { say: text } : order(text)
    if ("say" in wish) return this.#say(wish.say)
    if ("wrong" in wish) return this.explain(wish.wrong, { words: "Send it as text", work: () => this.#say(text) })
    this.#done()
    this.dispatchEvent(new CustomEvent("command", { detail: wish }))
  }

  /** @param {string} message */
  #say(message) {
    const handle = this.name
    if (lengthOf(message) > this.#most) return this.#tooLong(message)
    if (!handle.trim()) {
      this.explain(NAMELESS)
      return this.nameField.focus()
    }
    this.#parts.storage.set(NAME_KEY, handle)
    this.#offer([message])
  }

  /** Clears the composer when all of them have been taken; otherwise none has been. @param {string[]} messages */
  #offer(messages) {
    const { edit, reply_to } = this.#mode ?? {}
    const detail = { handle: this.name, messages, edit, reply_to }
    const taken = this.dispatchEvent(new CustomEvent("say", { detail, cancelable: true }))
    if (taken) this.#done()
    else this.explain(FULL)
  }

  #done() {
    const { edit } = this.#mode ?? {}
    if (edit) this.#givenUp.delete(edit)
    this.#turn(null)
    this.explain("")
    this.#write(edit ? this.#aside : "")
    this.#parts.drafts.write() // at once, or a reload would offer it again
  }

  /** @param {string} message */
  #tooLong(message) {
    const over = lengthOf(message) - this.#most
    const all = parts(message.trim(), this.#most)
    const way = { words: `Send it as ${all.length} messages`, work: () => this.#offer(all) }
    const canBeSplit = !this.#mode?.edit && this.name.trim() !== "" && all.length <= MAX_WAITING
    this.explain(`This is ${over.toLocaleString()} characters longer than a message may be.`, canBeSplit ? way : null)
  }

  /** @param {InputEvent} [event] */
  #typed(event) {
    this.#changed()
    this.explain("")
    if (event?.inputType === "insertFromPaste" && lengthOf(this.field.value) > this.#most) this.#tooLong(this.field.value)
    this.dispatchEvent(new Event("typing"))
  }

  #named() {
    this.#parts.storage.set(NAME_KEY, this.name)
    this.explain("")
    this.dispatchEvent(new Event("named"))
  }

  /** @param {Draft} draft */
  #restore({ text, mode = null, aside = "" }) {
    this.field.value ||= text
    this.#aside = aside
    this.#turn(mode)
    this.#changed()
  }

  /** @param {string} text */
  #write(text) {
    this.field.value = text
    this.#changed()
    this.field.focus()
  }

  /** @param {Mode | null} mode */
  #turn(mode) {
    this.#mode = mode
    this.#part("bar").hidden = !mode
    this.#part("doing").textContent = mode?.words ?? ""
  }

  /** Counted near the limit, kept, and as tall as its text, in browsers too that cannot do that by themselves. */
  #changed() {
    const { value: text, style } = this.field
    const left = this.#most - lengthOf(text)
    const count = left < 0 ? `${(-left).toLocaleString()} too many` : `${left.toLocaleString()} left`
    this.#part("count").textContent = left <= this.#most * (1 - NEAR) ? count : ""
    this.#part("count").toggleAttribute("data-over", left < 0)
    this.#parts.drafts.keep({ text, mode: this.#mode, aside: this.#aside })
    if (CSS.supports("field-sizing", "content")) return
    style.height = "auto"
    style.height = `${this.field.scrollHeight}px`
  }
}

/** Under a thumb Enter breaks the line. @param {KeyboardEvent} event @param {boolean} touch */
const sends = ({ key, shiftKey, altKey, ctrlKey, metaKey }, touch) => key === "Enter" && !shiftKey && !altKey && (!touch || ctrlKey || metaKey)

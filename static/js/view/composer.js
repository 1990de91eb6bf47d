// The form in which messages are written, edited and answered. It is never disabled and never loses
// text.

import { firstGrapheme } from "../lib/graphemes.js"
import { splitMessage } from "../lib/message_splitting.js"
import { characterCount, formatCount, isBlank, joinTexts } from "../lib/text.js"
import { REPLYING_TO_DELETED } from "../state/drafts.js"
import { parseInput } from "./commands.js"
import { isForInputMethod } from "./input_method.js"
import { replaceText } from "./text_insertion.js"

/** @import { ComposerMode, Draft, Drafts } from "../state/drafts.js" */
/** @import { Preferences } from "../state/preferences.js" */
/** @import { Row } from "../wire.js" */

/**
 * A button beside a hint.
 *
 * @typedef {object} HintAction
 * @property {string} text
 * @property {() => void} run
 */

/**
 * The detail of the event `send`.
 *
 * @typedef {object} Submission
 * @property {string} handle
 * @property {string[]} messages the parts of a text that is too long for one message
 * @property {number} [edit] the seq of the message that is edited
 * @property {number} [reply_to] the seq of the message that is replied to
 */

const NAME_KEY = "name"
/** How many messages a long text can be sent as; the limits keep the page responsive. */
const MAX_PARTS = 20
const MAX_PASTED_LINES = 2000 // Chromium's time is quadratic in their number
const NAME_MISSING = "Add your name to send this message."
const NOT_SENT = "Not sent. Your text stays here."
const OUTBOX_FULL =
  "Too many messages are waiting to be sent. Your text stays here; please send it later."
const PARTS_DO_NOT_FIT =
  "Too many messages are waiting to be sent. Nothing of your text was sent, and it stays here; " +
  "please send it later."
const EDIT_KEPT = "Edit canceled. Your changes will be here when you edit this message again."
const EDITED_DELETED = "The message that you were editing was deleted."
const COUNTER_THRESHOLD = 0.9 // the share of the allowed characters from which on they are counted

/**
 * Dispatches `send` with a Submission, and keeps the text when that is cancelled; `command` with an
 * object of `command` and `argument`; `namechange`; `typing`; `modechange`; and `replace` when the
 * text was changed by something else than typing.
 */
export class Composer extends EventTarget {
  /** The field for the text. */
  field
  nameField
  #form
  #preferences
  #drafts
  #hasTouchKeyboard
  #getLastOwnRow
  #maxCharacters
  /** The name that was last stored, in this tab or another one. */
  #storedName
  /** @type {ComposerMode | null} null for a new message */
  #mode = null
  /** The text that was in the composer before an edit began. */
  #textBeforeEdit = ""
  /** @type {Map<number, string>} cancelled edits, by the seq of the message */
  #cancelledEdits = new Map()
  /** @type {HintAction | null} */
  #hintAction = null
  /** Why nothing can be sent at present; otherwise "". */
  #blockedReason = ""

  /**
   * @param {HTMLFormElement} form
   * @param {object} dependencies
   * @param {Preferences} dependencies.preferences
   * @param {Drafts} dependencies.drafts
   * @param {boolean} dependencies.hasTouchKeyboard whether the only keyboard is on the screen
   * @param {() => Row | undefined} dependencies.getLastOwnRow the message that Arrow up edits
   */
  constructor(form, { preferences, drafts, hasTouchKeyboard, getLastOwnRow }) {
    super()
    this.#form = form
    this.#preferences = preferences
    this.#drafts = drafts
    this.#hasTouchKeyboard = hasTouchKeyboard
    this.#getLastOwnRow = getLastOwnRow
    this.nameField = /** @type {HTMLInputElement} */ (form.elements.namedItem("handle"))
    this.field = /** @type {HTMLTextAreaElement} */ (form.elements.namedItem("message"))
    this.#maxCharacters = Number(this.field.dataset.maxCharacters)
    this.#storedName = withoutHalfCharacters(preferences.get(NAME_KEY) ?? "")
    this.nameField.value = this.#storedName || this.nameField.value
    this.#showInitial()
    this.#restoreDraft(drafts.read())
    this.#addListeners()
    form.noValidate = true // `maxlength` counts an emoji as two characters, unlike the server
    if (!hasTouchKeyboard) this.field.focus()
  }

  /** The seq of the message that is being edited or replied to; 0 when there is none. */
  get targetSeq() {
    return this.#mode?.edit ?? this.#mode?.reply_to ?? 0
  }

  /** The name of this person. */
  get name() {
    return this.nameField.value
  }

  set name(name) {
    this.nameField.value = name
    this.#handleNameChange()
  }

  /**
   * Puts a text back into the composer, above the text that is there.
   *
   * @param {string} text
   * @param {string} [hint]
   */
  restoreText(text, hint = "") {
    this.cancel()
    this.#insertAbove(text)
    this.showHint(hint)
  }

  /**
   * Gives back the text of a refused edit. What is being typed goes on: the text is above it, or in
   * the composer after an edit.
   *
   * @param {string} text
   * @param {string} reason
   */
  returnText(text, reason) {
    if (this.#mode?.edit === undefined) {
      this.#insertAbove(text)
    } else {
      this.#textBeforeEdit = joinTexts(text, this.#textBeforeEdit)
      this.#handleTextChange()
    }
    this.showHint(reason)
    this.#drafts.saveNow()
  }

  /**
   * Makes the next message a reply.
   *
   * @param {number} seq
   * @param {string} title the sentence above the composer
   */
  reply(seq, title) {
    this.cancel()
    this.#setMode({ reply_to: seq, words: title })
    this.#handleReplacement()
  }

  /**
   * Edits a message; the text in the composer comes back afterwards.
   *
   * @param {number} seq
   * @param {string} text
   */
  edit(seq, text) {
    this.cancel()
    this.#textBeforeEdit = this.field.value
    this.#setMode({ edit: seq, text, words: "Editing your message" })
    this.#setText(this.#cancelledEdits.get(seq) ?? text)
  }

  /**
   * Cancels a reply or an edit; no text is lost.
   *
   * @returns {boolean} whether there was one
   */
  cancel() {
    if (!this.#mode) return false
    const { edit, text: originalText } = this.#mode
    const text = this.field.value
    this.#setMode(null)
    if (edit && text !== originalText) {
      this.#cancelledEdits.set(edit, text)
      this.showHint(EDIT_KEPT)
    }
    if (edit) this.#setText(this.#takeTextBeforeEdit())
    else this.#handleReplacement()
    return true
  }

  /**
   * A message was deleted: its text must not stay in the composer.
   *
   * @param {number} seq
   */
  forgetMessage(seq) {
    this.#cancelledEdits.delete(seq)
    const { reply_to, edit, text: originalText, words = "" } = this.#mode ?? {}
    if (reply_to === seq) {
      this.#setMode({ reply_to, words: REPLYING_TO_DELETED })
    } else if (edit === seq && this.field.value !== originalText) {
      this.#setMode({ edit, words }) // the changed text is returned when it is sent
    } else if (edit === seq) {
      this.#setMode(null)
      this.field.value = this.#takeTextBeforeEdit()
      this.showHint(EDITED_DELETED)
    } else {
      return
    }
    this.#handleTextChange()
    this.#drafts.saveNow()
  }

  /**
   * Messages up to a number do not exist any more: their texts must not stay in the composer.
   *
   * @param {number} floor
   */
  forgetUpTo(floor) {
    const seqs = [...this.#cancelledEdits.keys(), this.targetSeq]
    for (const seq of seqs) {
      if (seq > 0 && seq <= floor) this.forgetMessage(seq)
    }
  }

  /**
   * Inserts a text at the caret.
   *
   * @param {string} text
   * @param {number} [start] the beginning of what is replaced
   */
  insert(text, start = this.field.selectionStart) {
    replaceText(this.field, text, start, this.field.selectionEnd)
  }

  /**
   * @param {string} text "" hides the hint
   * @param {HintAction | null} [action]
   */
  showHint(text, action = null) {
    this.#part("hint-text").textContent = text
    this.#part("hint-action").textContent = action?.text ?? ""
    this.#part("hint-action").hidden = action === null
    this.nameField.ariaInvalid = String(text === NAME_MISSING)
    this.#hintAction = action
  }

  /**
   * Shows above the text field what is special about posting here.
   *
   * @param {string} notice "" for nothing
   */
  showNotice(notice) {
    const element = this.#part("notice")
    if (element.textContent !== notice) element.textContent = notice
    element.hidden = notice === ""
  }

  /**
   * While there is a reason, a text that is sent stays in the composer, and the reason is shown,
   * unless the notice already shows one.
   *
   * @param {string} reason "" for none
   */
  block(reason) {
    this.#blockedReason = reason
  }

  // Events of the page

  #addListeners() {
    this.#preferences.onChangedElsewhere(NAME_KEY, (name) => this.#handleNameElsewhere(name))
    this.#drafts.addEventListener("taken", () => {
      this.#setMode(null)
      this.#textBeforeEdit = ""
      this.field.value = ""
      this.#handleTextChange()
    })
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault()
      this.#submit()
    })
    this.field.addEventListener("keydown", (event) => this.#handleKey(event))
    this.field.addEventListener("beforeinput", (event) => this.#refuseHugeText(event))
    this.field.addEventListener("input", (event) => {
      this.#handleInput(/** @type {InputEvent} */ (event))
    })
    this.nameField.addEventListener("input", () => this.showHint(""))
    this.nameField.addEventListener("change", () => this.#handleNameChange())
    this.#part("hint-action").addEventListener("click", () => this.#hintAction?.run())
    this.#part("cancel").addEventListener("click", () => this.cancel())
    // The button must not take the focus: that would close an on-screen keyboard.
    this.#part("send").addEventListener("pointerdown", (event) => event.preventDefault())
  }

  /** @param {KeyboardEvent} event */
  #handleKey(event) {
    if (event.defaultPrevented || isForInputMethod(event)) return
    if (this.#isSendKey(event)) {
      event.preventDefault()
      this.#submit()
      return
    }
    const isEmpty = this.field.value === "" && !this.#mode
    const lastOwnRow = event.key === "ArrowUp" && isEmpty ? this.#getLastOwnRow() : undefined
    if (!lastOwnRow) return
    event.preventDefault()
    this.edit(lastOwnRow.seq, lastOwnRow.message)
  }

  /**
   * On a touch keyboard Enter begins a new line.
   *
   * @param {KeyboardEvent} event
   */
  #isSendKey({ key, shiftKey, altKey, ctrlKey, metaKey }) {
    if (key !== "Enter" || shiftKey || altKey) return false
    return !this.#hasTouchKeyboard || ctrlKey || metaKey
  }

  /**
   * Does not let in a pasted or dropped text that cannot be sent anyway: the page would be blocked
   * while the browser inserts it.
   *
   * @param {InputEvent} event
   */
  #refuseHugeText(event) {
    const added = event.data ?? ""
    if (added.length <= this.#maxCharacters) return
    const maxCharacters = MAX_PARTS * this.#maxCharacters
    const { value, selectionStart, selectionEnd } = this.field
    const kept = value.slice(0, selectionStart) + value.slice(selectionEnd)
    const characters = characterCount(kept) + characterCount(added)
    if (characters <= maxCharacters && added.split("\n").length <= MAX_PASTED_LINES) return
    event.preventDefault()
    const limit = `${formatCount(maxCharacters, "character")} in ${formatCount(MAX_PASTED_LINES, "line")}`
    this.showHint(`This text is too long to be inserted here. The limit is ${limit}.`)
  }

  /** @param {InputEvent} event */
  #handleInput(event) {
    this.#handleTextChange()
    this.showHint("")
    const text = this.field.value
    const isPaste = event.inputType === "insertFromPaste"
    if (isPaste && characterCount(text) > this.#maxCharacters) this.#showTooLong(text)
    this.dispatchEvent(new Event("typing"))
  }

  #handleNameChange() {
    this.#storedName = this.name
    this.#preferences.set(NAME_KEY, this.name)
    this.showHint("")
    this.#showInitial()
    this.dispatchEvent(new Event("namechange"))
  }

  /**
   * Another tab has stored a name. What is being typed here is newer.
   *
   * @param {string | null} name
   */
  #handleNameElsewhere(name) {
    const isFocused = this.nameField === document.activeElement
    const isTyped = isFocused && this.name !== this.#storedName
    if (isTyped || !name || name === this.#storedName) return
    this.#storedName = name
    this.nameField.value = name
    this.#showInitial()
    this.dispatchEvent(new Event("namechange"))
  }

  /** Shows the first letter of the name where its field is a small button, as early.js does. */
  #showInitial() {
    const initial = firstGrapheme(this.name.trim())
    this.#form.style.setProperty("--own-initial", JSON.stringify(initial))
    this.nameField.title = this.name === "" ? "" : `Your name: ${this.name}`
  }

  // Sending

  #submit() {
    const text = this.field.value
    const isEdit = this.#mode?.edit !== undefined
    if (isBlank(text) && !isEdit) {
      this.field.focus()
      return
    }
    const input = isEdit ? { message: text } : parseInput(text)
    if ("message" in input) {
      this.#submitMessage(input.message)
    } else if ("error" in input) {
      this.showHint(input.error, { text: "Send as text", run: () => this.#submitMessage(text) })
    } else {
      this.#clear()
      this.dispatchEvent(new CustomEvent("command", { detail: input }))
    }
  }

  /** @param {string} message */
  #submitMessage(message) {
    if (this.#blockedReason !== "") {
      this.showHint(this.#part("notice").hidden ? this.#blockedReason : NOT_SENT)
      return
    }
    if (characterCount(message) > this.#maxCharacters) {
      this.#showTooLong(message)
      return
    }
    if (isBlank(this.name)) {
      this.showHint(NAME_MISSING)
      this.nameField.focus()
      return
    }
    if (this.name !== this.#storedName) this.#handleNameChange()
    this.#dispatchSend([message])
  }

  /**
   * Clears the composer when all messages were accepted; otherwise none was.
   *
   * @param {string[]} messages
   */
  #dispatchSend(messages) {
    const { edit, reply_to } = this.#mode ?? {}
    /** @type {Submission} */
    const detail = { handle: this.name, messages, edit, reply_to }
    const isAccepted = this.dispatchEvent(new CustomEvent("send", { detail, cancelable: true }))
    if (isAccepted) this.#clear()
    else this.showHint(messages.length > 1 ? PARTS_DO_NOT_FIT : OUTBOX_FULL)
  }

  /** @param {string} text */
  #showTooLong(text) {
    const maxCharacters = this.#maxCharacters
    const surplus = formatCount(characterCount(text) - maxCharacters, "character")
    const isSplittable = this.#mode?.edit === undefined && !isBlank(this.name)
    if (!isSplittable) {
      this.showHint(`This message is ${surplus} too long.`)
      return
    }
    const parts = splitMessage(text, { maxCharacters, maxParts: MAX_PARTS })
    if (!parts) {
      const limit = `More than ${MAX_PARTS} messages can't be sent at a time; please shorten it.`
      this.showHint(`This message is ${surplus} too long. ${limit}`)
      return
    }
    const run = () => this.#dispatchSend(parts)
    this.showHint(`This message is ${surplus} too long.`, {
      text: `Send as ${parts.length} messages`,
      run,
    })
  }

  #clear() {
    const { edit } = this.#mode ?? {}
    if (edit) this.#cancelledEdits.delete(edit)
    this.#setMode(null)
    this.#setText(edit ? this.#takeTextBeforeEdit() : "")
    this.#drafts.saveNow() // otherwise a reload would show the sent text again
  }

  // Text

  /**
   * What was typed before the scripts were loaded stays below the draft. It belongs to no edit.
   *
   * @param {Draft} draft
   */
  #restoreDraft({ text, mode = null, aside = "" }) {
    const typed = this.field.value === text ? "" : this.field.value
    const isEdit = mode?.edit !== undefined
    this.field.value = isEdit ? text : joinTexts(text, typed)
    this.#textBeforeEdit = isEdit ? joinTexts(aside, typed) : aside
    this.#setMode(mode)
    this.#handleTextChange()
  }

  /**
   * Inserts a text above the one that is being typed, which goes on where the caret was.
   *
   * @param {string} text
   */
  #insertAbove(text) {
    const { value, selectionStart, selectionEnd } = this.field
    const added = value === "" ? text : `${text}\n`
    replaceText(this.field, added, 0, 0)
    if (value === "") return
    this.field.setSelectionRange(selectionStart + added.length, selectionEnd + added.length)
  }

  /** Afterwards the text is only in the field, and no longer stored beside it. */
  #takeTextBeforeEdit() {
    const text = this.#textBeforeEdit
    this.#textBeforeEdit = ""
    return text
  }

  /** @param {string} text */
  #setText(text) {
    this.field.value = text
    this.#handleReplacement()
  }

  #handleReplacement() {
    this.#handleTextChange()
    this.field.focus()
    this.dispatchEvent(new Event("replace"))
  }

  /**
   * Hides the hint, because its button would send the text of the previous mode.
   *
   * @param {ComposerMode | null} mode
   */
  #setMode(mode) {
    this.showHint("")
    this.#mode = mode
    this.#part("mode").hidden = mode === null
    this.#part("mode-text").textContent = mode?.words ?? ""
    this.dispatchEvent(new Event("modechange"))
  }

  #handleTextChange() {
    const text = this.field.value
    this.#updateCounter(text)
    this.#form.toggleAttribute("data-blank", isBlank(text))
    this.#drafts.saveSoon({ text, mode: this.#mode, aside: this.#textBeforeEdit })
    this.#fitHeight()
  }

  /** @param {string} text */
  #updateCounter(text) {
    const remaining = this.#maxCharacters - characterCount(text)
    const isOver = remaining < 0
    const isShown = remaining <= this.#maxCharacters * (1 - COUNTER_THRESHOLD)
    const count = Math.abs(remaining).toLocaleString()
    const counter = this.#part("count")
    counter.textContent = isShown ? `${count} ${isOver ? "too many" : "left"}` : ""
    counter.toggleAttribute("data-over", isOver)
  }

  /** Makes the field as tall as its text, in browsers where CSS cannot. */
  #fitHeight() {
    if (CSS.supports("field-sizing", "content")) return
    const { style } = this.field
    style.height = "auto"
    style.height = `${this.field.scrollHeight}px`
  }

  /** @param {string} name */
  #part(name) {
    return /** @type {HTMLElement} */ (this.#form.querySelector(`.composer__${name}`))
  }
}

/**
 * The server refuses a name that contains half of a surrogate pair, and every message with it.
 *
 * @param {string} name
 */
function withoutHalfCharacters(name) {
  return name.replace(/\p{Surrogate}/gu, "")
}

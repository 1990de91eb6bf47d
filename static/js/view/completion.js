// Suggests names while somebody types @ and the beginning of one.

import { isForInputMethod } from "./input_method.js"

/** @import { Templates } from "./dom.js" */
/** @import { Composer } from "./composer.js" */

/**
 * The @ before the caret and the text between them.
 *
 * @typedef {object} Mention
 * @property {number} start the position of the @
 * @property {string} typed
 */

/**
 * Matches a mention at the end of a text. An @ inside a word, as in an e-mail address, is none, and
 * neither is one before a space.
 */
export const MENTION_PATTERN = /(?<![\p{L}\p{N}])@((?!\s)[^\n@]{0,40})$/u

export class Completion {
  #list
  #composer
  #suggest
  #cloneTemplate
  /** The index of the selected name. */
  #selected = 0
  /** The position of the @ for which names are shown. */
  #start = 0
  /** @type {Mention | null} a mention that is complete, or for which Escape was pressed */
  #finished = null

  /**
   * @param {HTMLElement} list
   * @param {object} dependencies
   * @param {Composer} dependencies.composer
   * @param {(prefix: string) => { name: string }[]} dependencies.suggest
   * @param {Templates} dependencies.cloneTemplate
   */
  constructor(list, { composer, suggest, cloneTemplate }) {
    this.#list = list
    this.#composer = composer
    this.#suggest = suggest
    this.#cloneTemplate = cloneTemplate
    this.#addListeners()
  }

  #addListeners() {
    const { field } = this.#composer
    this.#composer.addEventListener("typing", () => this.#update())
    this.#composer.addEventListener("replace", () => this.#close()) // also when a text was sent
    field.addEventListener("blur", () => this.#close())
    field.addEventListener("selectionchange", () => this.#closeIfLeft())
    // In the capture phase: before the composer handles the key.
    field.form?.addEventListener("keydown", (event) => this.#handleKey(event), { capture: true })
    this.#list.addEventListener("pointerdown", (event) => event.preventDefault()) // keeps the focus
    this.#list.addEventListener("click", ({ target }) => {
      const options = [...this.#list.children]
      this.#insert(options.indexOf(/** @type {Element} */ (target)))
    })
  }

  #update() {
    const mention = this.#currentMention()
    if (!mention || this.#isFinished(mention)) {
      this.#close()
      return
    }
    const names = this.#suggest(mention.typed).map(({ name }) => name)
    if (names.length === 0) {
      this.#close()
      return
    }
    this.#finished = null
    this.#start = mention.start
    this.#list.hidden = false
    this.#list.replaceChildren(...names.map((name, index) => this.#createOption(name, index)))
    const completeName = names.findIndex((name) => isComplete(mention, name))
    this.#select(Math.max(completeName, 0))
  }

  /**
   * @param {string} name
   * @param {number} index
   */
  #createOption(name, index) {
    const option = this.#cloneTemplate("option")
    option.textContent = name
    option.id = `completion-${index}`
    return option
  }

  /** @returns {Mention | null} */
  #currentMention() {
    const { field } = this.#composer
    const match = MENTION_PATTERN.exec(field.value.slice(0, field.selectionStart))
    return match && { start: match.index, typed: match[1] }
  }

  /**
   * Whether it is the finished mention, perhaps continued. An @ with nothing behind it is a new
   * one.
   *
   * @param {Mention} mention
   */
  #isFinished({ start, typed }) {
    if (typed === "" || this.#finished?.start !== start) return false
    return typed.startsWith(this.#finished.typed)
  }

  /** @param {KeyboardEvent} event */
  #handleKey(event) {
    if (isForInputMethod(event)) return
    this.#closeIfLeft()
    const mention = this.#currentMention()
    if (this.#list.hidden || !mention) return
    if (this.#isSendKey(event, mention)) {
      this.#finish(mention)
      return // the composer handles the key
    }
    if (event.key === "ArrowDown") this.#select(this.#selected + 1)
    else if (event.key === "ArrowUp") this.#select(this.#selected - 1)
    else if (event.key === "Escape") this.#finish(mention)
    else if (isInsertKey(event)) this.#insert(this.#selected)
    else return
    event.preventDefault()
  }

  /** Closes the list when the caret is not behind the mention any more. */
  #closeIfLeft() {
    if (this.#currentMention()?.start !== this.#start) this.#close()
  }

  /**
   * Whether the key sends the message: Ctrl+Enter always does, Enter when the name is complete.
   *
   * @param {KeyboardEvent} event
   * @param {Mention} mention
   */
  #isSendKey({ key, shiftKey, ctrlKey, metaKey }, mention) {
    if (key !== "Enter" || shiftKey) return false
    const selectedName = this.#list.children[this.#selected]?.textContent ?? ""
    return ctrlKey || metaKey || isComplete(mention, selectedName)
  }

  /** @param {number} index beyond the last name: the first one */
  #select(index) {
    const options = [...this.#list.children]
    this.#selected = (index + options.length) % options.length
    const selected = options[this.#selected]
    for (const option of options) option.ariaSelected = String(option === selected)
    this.#composer.field.setAttribute("aria-activedescendant", selected.id)
  }

  /** @param {number} index */
  #insert(index) {
    const name = this.#list.children[index]?.textContent
    const mention = this.#currentMention()
    if (!name || !mention) {
      this.#close()
      return
    }
    this.#finish({ start: mention.start, typed: name })
    this.#composer.insert(`@${name} `, mention.start)
  }

  /**
   * Suggests nothing more for this mention.
   *
   * @param {Mention} mention
   */
  #finish(mention) {
    this.#finished = mention
    this.#close()
  }

  #close() {
    this.#list.hidden = true
    this.#composer.field.removeAttribute("aria-activedescendant")
  }
}

/** @param {KeyboardEvent} event */
function isInsertKey({ key, shiftKey }) {
  return key === "Tab" || (key === "Enter" && !shiftKey)
}

/**
 * Whether the whole name is typed.
 *
 * @param {Mention} mention
 * @param {string} name
 */
function isComplete({ typed }, name) {
  return typed.trim() === name.trim()
}

// The list of the people in the room, beside the messages or above them.

import { confusableNames } from "../lib/names.js"
import { hasLostFocus, setText } from "./dom.js"
import { setMark } from "./message_parts.js"

/** @import { IgnoredPeople } from "../state/ignored_people.js" */
/** @import { People } from "../state/people.js" */
/** @import { Templates } from "./dom.js" */

const HAS_SPACE_BESIDE = "(min-width: 76rem)"
const PARTIAL = "Some people may be missing from this list right now."

export class PeoplePanel {
  #panel
  #people
  #ignoredPeople
  #getOwnMark
  #cloneTemplate
  #mention
  #toggleIgnored
  /** @type {Set<string>} names of which the marks are shown */
  #confusableNames = new Set()

  /**
   * @param {HTMLDialogElement} panel
   * @param {object} dependencies
   * @param {People} dependencies.people
   * @param {IgnoredPeople} dependencies.ignoredPeople
   * @param {() => string} dependencies.getOwnMark
   * @param {Templates} dependencies.cloneTemplate
   * @param {(name: string) => void} dependencies.mention
   * @param {(mark: string, name: string) => void} dependencies.toggleIgnored
   */
  constructor(panel, dependencies) {
    const { people, ignoredPeople, getOwnMark, cloneTemplate, mention } = dependencies
    this.#panel = panel
    this.#people = people
    this.#ignoredPeople = ignoredPeople
    this.#getOwnMark = getOwnMark
    this.#cloneTemplate = cloneTemplate
    this.#mention = mention
    this.#toggleIgnored = dependencies.toggleIgnored
    this.#addListeners()
  }

  toggle() {
    if (this.#panel.open) {
      this.#panel.close()
      return
    }
    this.#update()
    if (matchMedia(HAS_SPACE_BESIDE).matches) this.#panel.show()
    else this.#panel.showModal()
  }

  #addListeners() {
    for (const source of [this.#people, this.#ignoredPeople]) {
      source.addEventListener("change", () => {
        if (this.#panel.open) this.#update()
      })
    }
    this.#panel.addEventListener("click", ({ target }) => {
      this.#handleClick(/** @type {HTMLElement} */ (target))
    })
    this.#panel.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return // only modal dialogs close with it by themselves
      event.preventDefault()
      this.#panel.close()
    })
  }

  #update() {
    const { present, count, summary, isPartial } = this.#people
    const people = [...present, ...this.#absentIgnoredPeople()]
    const focusedMark = this.#focusedMark()
    this.#confusableNames = confusableNames(people)
    this.#part("title").textContent = summary
    this.#part("note").textContent = noteFor({ isPartial, unlistedCount: count - present.length })
    this.#part("list").replaceChildren(...people.map((person) => this.#createItem(person)))
    if (focusedMark !== "" && hasLostFocus()) this.#focusPerson(focusedMark)
  }

  /** The mark of the person on whose *Ignore* button the focus is, or "". */
  #focusedMark() {
    const focused = /** @type {HTMLElement | null} */ (document.activeElement)
    return this.#panel.contains(focused) ? (focused?.dataset.mark ?? "") : ""
  }

  /**
   * Returns the focus to a person who is listed again, or else to the panel.
   *
   * @param {string} mark
   */
  #focusPerson(mark) {
    const buttons = [...this.#panel.querySelectorAll("button")]
    const button = buttons.find(({ dataset }) => dataset.mark === mark) ?? buttons[0]
    button.focus({ preventScroll: true })
  }

  /**
   * Ignored people who are not in the room are listed too: otherwise they could not be unignored.
   */
  #absentIgnoredPeople() {
    const presentMarks = new Set(this.#people.present.map(({ mark }) => mark))
    const ignored = Object.entries(this.#ignoredPeople.all).map(([mark, name]) => ({ mark, name }))
    return ignored.filter(({ mark }) => !presentMarks.has(mark))
  }

  /** @param {{ mark: string, name: string }} person */
  #createItem({ mark, name }) {
    const item = this.#cloneTemplate("person")
    const isMe = mark === this.#getOwnMark()
    const isIgnored = this.#ignoredPeople.has(mark)
    setMark(item, ".person__mark", mark, name)
    const isConfusable = this.#confusableNames.has(name)
    item.querySelector(".person__mark")?.toggleAttribute("data-shown", isConfusable)
    setText(item, ".person__name", name || "No name yet").toggleAttribute("data-unnamed", !name)
    setText(item, ".person__note", personNote(isMe, isIgnored))
    const mentionButton = /** @type {HTMLButtonElement} */ (item.querySelector(".person__mention"))
    mentionButton.dataset.name = name
    mentionButton.disabled = isMe || !name
    const ignoreButton = /** @type {HTMLButtonElement} */ (item.querySelector(".person__ignore"))
    ignoreButton.dataset.name = name
    ignoreButton.dataset.mark = mark
    ignoreButton.hidden = isMe
    ignoreButton.textContent = isIgnored ? "Stop ignoring" : "Ignore"
    return item
  }

  /** @param {HTMLElement} target */
  #handleClick(target) {
    const { mark, name = "" } = target.closest("button")?.dataset ?? {}
    if (mark) {
      this.#toggleIgnored(mark, name)
      return
    }
    if (!name) return
    if (this.#panel.matches(":modal")) this.#panel.close()
    this.#mention(name)
  }

  /** @param {string} name */
  #part(name) {
    return /** @type {HTMLElement} */ (this.#panel.querySelector(`.people__${name}`))
  }
}

/** @param {{ isPartial: boolean, unlistedCount: number }} list */
function noteFor({ isPartial, unlistedCount }) {
  if (isPartial) return PARTIAL
  return unlistedCount > 0 ? `and ${unlistedCount} more` : ""
}

/**
 * @param {boolean} isMe
 * @param {boolean} isIgnored
 */
function personNote(isMe, isIgnored) {
  if (isMe) return "you"
  return isIgnored ? "ignored" : ""
}

// The list of the people in the room: beside the messages where there is space, or above them.

import { confusableNames } from "../lib/names.js"
import { hasLostFocus, setText } from "./dom.js"
import { setFace, setMark } from "./message_parts.js"
import { PersonMenu } from "./person_menu.js"

/** @import { IgnoredPeople } from "../state/ignored_people.js" */
/** @import { People } from "../state/people.js" */
/** @import { Preferences } from "../state/preferences.js" */
/** @import { Templates } from "./dom.js" */
/** @import { Face } from "./message_parts.js" */

const HAS_SPACE_BESIDE = matchMedia("(min-width: 1100px)")
const PREFERENCE_KEY = "people"
const HIDDEN = "hidden"
const PARTIAL = "Some people may be missing from this list right now."

export class PeoplePanel {
  #panel
  #people
  #ignoredPeople
  #preferences
  #getOwnMark
  #faceOf
  #cloneTemplate
  #mention
  #menu
  /** @type {Set<string>} names of which the marks are shown */
  #confusableNames = new Set()

  /**
   * @param {HTMLDialogElement} panel
   * @param {object} dependencies
   * @param {HTMLDialogElement} dependencies.menu of a person
   * @param {People} dependencies.people
   * @param {IgnoredPeople} dependencies.ignoredPeople
   * @param {Preferences} dependencies.preferences
   * @param {() => string} dependencies.getOwnMark
   * @param {(mark: string, name?: string) => Face} dependencies.faceOf
   * @param {Templates} dependencies.cloneTemplate
   * @param {(name: string) => void} dependencies.mention
   * @param {(mark: string, name: string) => void} dependencies.toggleIgnored
   */
  constructor(panel, dependencies) {
    this.#panel = panel
    this.#people = dependencies.people
    this.#ignoredPeople = dependencies.ignoredPeople
    this.#preferences = dependencies.preferences
    this.#getOwnMark = dependencies.getOwnMark
    this.#faceOf = dependencies.faceOf
    this.#cloneTemplate = dependencies.cloneTemplate
    this.#mention = dependencies.mention
    this.#menu = new PersonMenu(dependencies.menu, {
      mention: ({ name }) => this.#mentionPerson(name),
      ignore: ({ mark, name }) => dependencies.toggleIgnored(mark, name),
    })
    this.#addListeners()
    this.#fitToScreen()
  }

  /** Shows or hides the list. Beside the messages, the choice is remembered. */
  toggle() {
    const isShown = this.#panel.open
    if (HAS_SPACE_BESIDE.matches) this.#setHidden(isShown)
    if (isShown) this.#panel.close()
    else this.show()
  }

  show() {
    this.#update()
    if (this.#panel.open) return
    if (!HAS_SPACE_BESIDE.matches) {
      this.#panel.showModal()
      return
    }
    this.#setHidden(false)
    const focused = /** @type {HTMLElement | null} */ (document.activeElement)
    this.#panel.show()
    focused?.focus() // opening a dialog moves the focus into it
  }

  /** The list beside the messages is there from the start, unless this person has hidden it. */
  #fitToScreen() {
    if (this.#panel.open) this.#panel.close()
    const isHidden = this.#preferences.get(PREFERENCE_KEY) === HIDDEN
    if (HAS_SPACE_BESIDE.matches && !isHidden) this.show()
  }

  /** @param {boolean} isHidden */
  #setHidden(isHidden) {
    this.#preferences.set(PREFERENCE_KEY, isHidden ? HIDDEN : null)
    const { dataset } = document.documentElement
    if (isHidden) dataset.people = HIDDEN
    else delete dataset.people
  }

  #addListeners() {
    HAS_SPACE_BESIDE.addEventListener("change", () => this.#fitToScreen())
    for (const source of [this.#people, this.#ignoredPeople]) {
      source.addEventListener("change", () => {
        if (this.#panel.open) this.#update()
      })
    }
    this.#panel.addEventListener("click", ({ target }) => {
      this.#handleClick(/** @type {HTMLElement} */ (target))
    })
    // The button "Close" hides the list beside the messages until it is opened again.
    this.#panel.querySelector("form")?.addEventListener("submit", () => {
      if (!this.#panel.matches(":modal")) this.#setHidden(true)
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
    const avatar = /** @type {HTMLElement} */ (item.querySelector(".avatar"))
    setFace(avatar, this.#faceOf(mark, name))
    setMark(item, ".person__mark", mark)
    const isConfusable = this.#confusableNames.has(name)
    item.querySelector(".person__mark")?.toggleAttribute("data-shown", isConfusable)
    setText(item, ".person__name", name || "No name yet").toggleAttribute("data-unnamed", !name)
    setText(item, ".person__note", personNote(isMe, isIgnored))
    const mentionButton = /** @type {HTMLButtonElement} */ (item.querySelector(".person__mention"))
    mentionButton.dataset.name = name
    mentionButton.disabled = isMe || !name
    const menuButton = /** @type {HTMLButtonElement} */ (item.querySelector(".person__actions"))
    menuButton.dataset.name = name
    menuButton.dataset.mark = mark
    menuButton.hidden = isMe
    menuButton.ariaLabel = `Actions for ${name || "somebody without a name"}`
    return item
  }

  /** @param {HTMLElement} target */
  #handleClick(target) {
    const button = target.closest("button")
    const { mark, name = "" } = button?.dataset ?? {}
    if (button && mark) {
      this.#menu.open({ mark, name }, { button, isIgnored: this.#ignoredPeople.has(mark) })
    } else if (name) {
      this.#mentionPerson(name)
    }
  }

  /** @param {string} name */
  #mentionPerson(name) {
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

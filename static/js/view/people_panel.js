// The list of the people in the room: beside the messages where there is space, or above them.

import { confusableNames } from "../lib/names.js"
import { hasLostFocus, setText } from "./dom.js"
import { setBadge, setFace, setMark } from "./message_parts.js"
import { PersonMenu } from "./person_menu.js"

/** @import { IgnoredPeople } from "../state/ignored_people.js" */
/** @import { People } from "../state/people.js" */
/** @import { Preferences } from "../state/preferences.js" */
/** @import { RoomRules } from "../state/room_rules.js" */
/** @import { Templates } from "./dom.js" */
/** @import { Face } from "./message_parts.js" */
/** @import { ListedPerson } from "./person_menu.js" */

const HAS_SPACE_BESIDE = matchMedia("(min-width: 1100px)")
const PREFERENCE_KEY = "people"
const HIDDEN = "hidden"
const PARTIAL = "Some people may be missing from this list right now."

export class PeoplePanel {
  #panel
  #button
  #people
  #ignoredPeople
  #rules
  #preferences
  #getOwnMark
  #faceOf
  #cloneTemplate
  #mention
  #toggleIgnoredPerson
  #hostActionsFor
  #menu
  /** @type {Set<string>} names of which the marks are shown */
  #confusableNames = new Set()
  /**
   * By mark. The element of a person stays while they are listed, with its focus and as what their
   * menu belongs to.
   *
   * @type {Map<string, HTMLElement>}
   */
  #items = new Map()

  /**
   * @param {HTMLDialogElement} panel
   * @param {object} dependencies
   * @param {HTMLElement} dependencies.button shows and hides the list
   * @param {HTMLDialogElement} dependencies.menu of a person
   * @param {People} dependencies.people
   * @param {IgnoredPeople} dependencies.ignoredPeople
   * @param {RoomRules} dependencies.rules
   * @param {Preferences} dependencies.preferences
   * @param {() => string} dependencies.getOwnMark
   * @param {(mark: string, name?: string) => Face} dependencies.faceOf
   * @param {Templates} dependencies.cloneTemplate
   * @param {(name: string) => void} dependencies.mention
   * @param {(mark: string, name: string) => void} dependencies.toggleIgnored
   * @param {Record<string, (person: ListedPerson) => unknown>} dependencies.hostActions
   * @param {(mark: string) => string[]} dependencies.hostActionsFor the names of those that this
   *   person may perform on somebody
   */
  constructor(panel, dependencies) {
    this.#panel = panel
    this.#button = dependencies.button
    this.#people = dependencies.people
    this.#ignoredPeople = dependencies.ignoredPeople
    this.#rules = dependencies.rules
    this.#preferences = dependencies.preferences
    this.#getOwnMark = dependencies.getOwnMark
    this.#faceOf = dependencies.faceOf
    this.#cloneTemplate = dependencies.cloneTemplate
    this.#mention = dependencies.mention
    this.#toggleIgnoredPerson = dependencies.toggleIgnored
    this.#hostActionsFor = dependencies.hostActionsFor
    this.#menu = new PersonMenu(dependencies.menu, {
      ...this.#withPanelClosed(dependencies.hostActions),
      mention: ({ name }) => this.#mentionPerson(name),
      ignore: ({ mark, name }) => this.#toggleIgnored(mark, name),
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

  /**
   * Opens the menu of a person.
   *
   * @param {ListedPerson} person
   * @param {HTMLElement} button what opens it
   */
  openMenu(person, button) {
    this.#menu.open(person, {
      button,
      isIgnored: this.#ignoredPeople.has(person.mark),
      role: this.#rules.roleOf(person.mark),
      hostActions: this.#hostActionsFor(person.mark),
    })
  }

  show() {
    this.#update()
    if (this.#panel.open) return
    if (HAS_SPACE_BESIDE.matches) this.#showBeside()
    else this.#panel.showModal()
    this.#updateButton()
  }

  /** Opening a dialog moves the focus into it: here the focus stays where it was. */
  #showBeside() {
    this.#setHidden(false)
    const focused = /** @type {HTMLElement} */ (document.activeElement ?? document.body)
    this.#panel.show()
    if (focused !== document.body) focused.focus()
    else if (document.activeElement instanceof HTMLElement) document.activeElement.blur()
  }

  #updateButton() {
    this.#button.ariaExpanded = String(this.#panel.open)
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
    this.#button.addEventListener("click", () => this.toggle())
    HAS_SPACE_BESIDE.addEventListener("change", () => this.#fitToScreen())
    this.#panel.addEventListener("close", () => this.#updateButton())
    for (const source of [this.#people, this.#ignoredPeople, this.#rules]) {
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
    const focused = /** @type {HTMLElement} */ (document.activeElement)
    const hadFocus = this.#panel.contains(focused)
    this.#confusableNames = confusableNames(people)
    this.#part("title").textContent = summary
    this.#part("note").textContent = noteFor({ isPartial, unlistedCount: count - present.length })
    this.#drawItems(people)
    if (hadFocus && hasLostFocus()) this.#returnFocus(focused)
  }

  /** @param {{ mark: string, name: string }[]} people */
  #drawItems(people) {
    const list = this.#part("list")
    const marks = new Set(people.map(({ mark }) => mark))
    for (const [mark, item] of this.#items) {
      if (marks.has(mark)) continue
      item.remove()
      this.#items.delete(mark)
    }
    for (const [index, person] of people.entries()) {
      const item = this.#itemOf(person.mark)
      this.#updateItem(item, person)
      const current = list.children[index]
      if (current !== item) list.insertBefore(item, current ?? null)
    }
  }

  /** @param {string} mark */
  #itemOf(mark) {
    const item = this.#items.get(mark) ?? this.#cloneTemplate("person")
    this.#items.set(mark, item)
    return item
  }

  /**
   * Returns the focus to an element that has been moved, or to the panel if the person has left.
   *
   * @param {HTMLElement} focused
   */
  #returnFocus(focused) {
    const target = focused.checkVisibility() ? focused : this.#panel.querySelector("button")
    target?.focus({ preventScroll: true })
  }

  /**
   * Ignored people who are not in the room are listed too: otherwise they could not be unignored.
   */
  #absentIgnoredPeople() {
    const presentMarks = new Set(this.#people.present.map(({ mark }) => mark))
    const ignored = Object.entries(this.#ignoredPeople.all).map(([mark, name]) => ({ mark, name }))
    return ignored.filter(({ mark }) => !presentMarks.has(mark))
  }

  /**
   * @param {HTMLElement} item
   * @param {{ mark: string, name: string }} person
   */
  #updateItem(item, { mark, name }) {
    const isMe = mark === this.#getOwnMark()
    const isIgnored = this.#ignoredPeople.has(mark)
    const avatar = /** @type {HTMLElement} */ (item.querySelector(".avatar"))
    setFace(avatar, this.#faceOf(mark, name))
    setMark(item, ".person__mark", mark)
    const isConfusable = this.#confusableNames.has(name)
    item.querySelector(".person__mark")?.toggleAttribute("data-shown", isConfusable)
    setText(item, ".person__name", name || "No name yet").toggleAttribute("data-unnamed", !name)
    setBadge(item, this.#rules.roleOf(mark))
    setText(item, ".person__note", personNote(isMe, isIgnored))
    const mentionButton = /** @type {HTMLButtonElement} */ (item.querySelector(".person__mention"))
    mentionButton.dataset.name = name
    mentionButton.disabled = isMe || !name
    const menuButton = /** @type {HTMLButtonElement} */ (item.querySelector(".person__actions"))
    menuButton.dataset.name = name
    menuButton.dataset.mark = mark
    menuButton.hidden = isMe
    menuButton.ariaLabel = `Actions for ${name || "somebody without a name"}`
  }

  /** @param {HTMLElement} target */
  #handleClick(target) {
    const button = target.closest("button")
    const { mark, name = "" } = button?.dataset ?? {}
    if (button && mark) {
      this.openMenu({ mark, name }, button)
    } else if (name) {
      this.#mentionPerson(name)
    }
  }

  /**
   * A modal list would keep what an action shows, with its button "Undo", out of reach.
   *
   * @param {Record<string, (person: ListedPerson) => unknown>} actions
   */
  #withPanelClosed(actions) {
    const wrapped = Object.entries(actions).map(([name, action]) => {
      const run = (/** @type {ListedPerson} */ person) => {
        if (this.#panel.matches(":modal")) this.#panel.close()
        action(person)
      }
      return /** @type {const} */ ([name, run])
    })
    return Object.fromEntries(wrapped)
  }

  /** @param {string} name */
  #mentionPerson(name) {
    if (this.#panel.matches(":modal")) this.#panel.close()
    this.#mention(name)
  }

  /**
   * A modal list would keep the message about it, with its button "Undo", out of reach.
   *
   * @param {string} mark
   * @param {string} name
   */
  #toggleIgnored(mark, name) {
    const isIgnored = this.#ignoredPeople.has(mark)
    if (!isIgnored && this.#panel.matches(":modal")) this.#panel.close()
    this.#toggleIgnoredPerson(mark, name)
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

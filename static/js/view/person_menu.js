// The menu of a person in the list of people.

import { setText } from "./dom.js"
import { setUpMenuKeys } from "./menu_keys.js"
import { moveMenu } from "./menu_position.js"

/** @typedef {{ mark: string, name: string }} ListedPerson */

export class PersonMenu {
  #dialog
  #actions
  /** @type {ListedPerson | null} the person whose menu is open */
  #person = null

  /**
   * @param {HTMLDialogElement} dialog
   * @param {Record<string, (person: ListedPerson) => void>} actions by the name in `data-action`
   */
  constructor(dialog, actions) {
    this.#dialog = dialog
    this.#actions = actions
    dialog.addEventListener("click", ({ target }) => {
      const { action } = /** @type {HTMLElement} */ (target).closest("button")?.dataset ?? {}
      if (action) this.#run(action)
    })
    setUpMenuKeys(dialog)
  }

  /**
   * @param {ListedPerson} person
   * @param {{ button: HTMLElement, isIgnored: boolean }} options `button`: what opens the menu
   */
  open(person, { button, isIgnored }) {
    this.#person = person
    setText(this.#dialog, ".menu__title", person.name || "No name yet")
    const text = isIgnored ? "Stop ignoring" : "Ignore this person"
    setText(this.#dialog, "[data-action=ignore]", text)
    const mention = /** @type {HTMLElement} */ (this.#dialog.querySelector("[data-action=mention]"))
    mention.hidden = person.name === ""
    this.#dialog.showModal()
    this.#moveTo(button)
  }

  /** @param {string} action */
  #run(action) {
    this.#dialog.close()
    if (this.#person) this.#actions[action](this.#person)
  }

  /**
   * Moves the menu below its button.
   *
   * @param {HTMLElement} button
   */
  #moveTo(button) {
    const { right, bottom } = button.getBoundingClientRect()
    const { width } = this.#dialog.getBoundingClientRect()
    moveMenu(this.#dialog, { left: right - width, top: bottom })
  }
}

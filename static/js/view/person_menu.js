// The menu of a person: what one can do about them, and what hosts and moderators can.

import { setText } from "./dom.js"
import { setBadge } from "./message_parts.js"
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
   * @param {Record<string, (person: ListedPerson) => unknown>} actions by the name in `data-action`
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
   * @param {object} options
   * @param {HTMLElement} options.button what opens the menu
   * @param {boolean} options.isIgnored
   * @param {string} options.role
   * @param {string[]} options.hostActions what this person may do as host or moderator
   */
  open(person, { button, isIgnored, role, hostActions }) {
    this.#person = person
    setText(this.#dialog, ".menu__name", person.name || "No name yet")
    setBadge(this.#dialog, role)
    for (const entry of /** @type {NodeListOf<HTMLElement>} */ (
      this.#dialog.querySelectorAll("[data-host-action]")
    )) {
      entry.hidden = !hostActions.includes(entry.dataset.action ?? "")
    }
    setText(this.#dialog, "[data-action=dismiss]", `Remove as ${role}`)
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

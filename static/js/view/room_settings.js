// The settings of the room, which only its hosts can open.

import { formatDuration } from "../lib/durations.js"
import { isBlank } from "../lib/text.js"
import { mergeSettings, settingsChanges, settingsOf } from "../state/settings_changes.js"
import { openDialog } from "./dialogs.js"
import { setText } from "./dom.js"
import { setBadge } from "./message_parts.js"
import { ask } from "./question.js"

/** @import { RoomRules } from "../state/room_rules.js" */
/** @import { Settings } from "../state/settings_changes.js" */
/** @import { Moderated, Moderation } from "../wire.js" */
/** @import { Templates } from "./dom.js" */

export class RoomSettings {
  #dialog
  #rulesForm
  #passwordForm
  #rules
  #getOwnMark
  #nameOf
  #moderate
  #showError
  #showHostLink
  #cloneTemplate
  /** @type {Settings} the rules that the form shows, apart from what this person has changed */
  #shown
  /** @type {Element[]} shows below each part what has become of the last change there */
  #statuses

  /**
   * @param {HTMLDialogElement} dialog
   * @param {object} dependencies
   * @param {RoomRules} dependencies.rules
   * @param {() => string} dependencies.getOwnMark
   * @param {(mark: string) => string} dependencies.nameOf
   * @param {(moderation: Moderation) => Promise<Moderated>} dependencies.moderate
   * @param {(error: unknown) => string} dependencies.describeError
   * @param {(text: string) => void} dependencies.showToast
   * @param {() => void} dependencies.showHostLink
   * @param {Templates} dependencies.cloneTemplate
   */
  constructor(dialog, dependencies) {
    this.#dialog = dialog
    this.#rulesForm = /** @type {HTMLFormElement} */ (dialog.querySelector(".settings__rules"))
    this.#passwordForm = /** @type {HTMLFormElement} */ (
      dialog.querySelector(".settings__password")
    )
    this.#rules = dependencies.rules
    this.#shown = settingsOf(dependencies.rules)
    this.#getOwnMark = dependencies.getOwnMark
    this.#nameOf = dependencies.nameOf
    this.#moderate = dependencies.moderate
    this.#showHostLink = dependencies.showHostLink
    this.#cloneTemplate = dependencies.cloneTemplate
    this.#statuses = [...dialog.querySelectorAll(".settings__status")]
    this.#showError = (/** @type {unknown} */ error, /** @type {Element} */ part) => {
      const text = dependencies.describeError(error)
      if (dialog.open) this.#showStatus(text, part)
      else dependencies.showToast(text)
    }
    this.#addListeners()
  }

  open() {
    this.#showStatus("", this.#dialog)
    this.#passwordForm.reset()
    this.#shown = settingsOf(this.#rules)
    this.#fill(this.#shown)
    this.#update()
    openDialog(this.#dialog.id)
  }

  #addListeners() {
    this.#rules.addEventListener("change", () => this.#handleChange())
    this.#rulesForm.addEventListener("submit", (event) => {
      event.preventDefault()
      this.#save()
    })
    this.#passwordForm.addEventListener("submit", (event) => {
      event.preventDefault()
      this.#setPassword(this.#field(this.#passwordForm, "password").value)
    })
    this.#dialog.addEventListener("click", ({ target }) => {
      const button = /** @type {HTMLElement} */ (target).closest("button")
      const { action, mark } = button?.dataset ?? {}
      if (mark) this.#perform({ action: "dismiss", target: mark }, this.#dialog)
      else if (action === "remove-password") this.#setPassword("")
      else if (action === "host-link") this.#showHostLink()
      else if (button && action === "clear") this.#confirm("clear-history", button)
      else if (button && action === "close") this.#confirm("close-room", button)
    })
  }

  /** Another host may have changed something, or taken the role of this person. */
  #handleChange() {
    if (!this.#dialog.open) return
    if (this.#rules.isHost) this.#update()
    else this.#dialog.close()
  }

  /** @param {Settings} settings to show in the form of the rules */
  #fill({ isLocked, slowModeSeconds, isNamedByHosts, expirySeconds }) {
    this.#field(this.#rulesForm, "locked").checked = isLocked
    this.#field(this.#rulesForm, "slow_mode").value = String(slowModeSeconds)
    this.#field(this.#rulesForm, "naming").value = isNamedByHosts ? "hosts" : "all"
    const expiry = this.#field(this.#rulesForm, "expiry")
    expiry.value = String(expirySeconds)
    if (expiry.value !== "") return
    const option = new Option(formatDuration(expirySeconds), String(expirySeconds), true, true)
    expiry.append(option) // the default of the server
  }

  /** @returns {Settings} as they are in the form of the rules */
  #readForm() {
    return {
      isLocked: this.#field(this.#rulesForm, "locked").checked,
      slowModeSeconds: Number(this.#field(this.#rulesForm, "slow_mode").value),
      isNamedByHosts: this.#field(this.#rulesForm, "naming").value === "hosts",
      expirySeconds: Number(this.#field(this.#rulesForm, "expiry").value),
    }
  }

  /** Shows what has changed in the room, and keeps what this person has changed in the form. */
  #update() {
    const current = settingsOf(this.#rules)
    this.#fill(mergeSettings(this.#shown, this.#readForm(), current))
    this.#shown = current
    const { hasPassword, officers } = this.#rules
    const state = hasPassword ? "This room has a password." : "This room has no password."
    setText(this.#passwordForm, ".settings__state", state)
    const remove = /** @type {HTMLElement} */ (
      this.#passwordForm.querySelector("[data-action=remove-password]")
    )
    remove.hidden = !hasPassword
    const list = /** @type {HTMLElement} */ (this.#dialog.querySelector(".settings__officers"))
    const hadFocus = list.contains(document.activeElement)
    list.replaceChildren(...officers.map((officer) => this.#itemOf(officer)))
    if (hadFocus) this.#dialog.querySelector("button")?.focus()
  }

  /** @param {{ mark: string, role: string }} officer */
  #itemOf({ mark, role }) {
    const item = this.#cloneTemplate("officer")
    const isMe = mark === this.#getOwnMark()
    const name = this.#nameOf(mark) || "Somebody"
    setText(item, ".officer__name", name)
    setText(item, ".officer__note", isMe ? "you" : "")
    setBadge(item, role)
    const button = /** @type {HTMLButtonElement} */ (item.querySelector("button"))
    button.hidden = isMe
    button.dataset.mark = mark
    button.ariaLabel = `Remove role of ${name} (${role})`
    return item
  }

  async #save() {
    const changes = settingsChanges(this.#shown, this.#readForm())
    try {
      for (const change of changes) await this.#moderate(change)
      this.#showStatus("Saved", this.#rulesForm)
    } catch (error) {
      this.#showError(error, this.#rulesForm)
    }
  }

  /** @param {string} password "" removes it */
  async #setPassword(password) {
    if (password !== "" && isBlank(password)) return
    this.#showStatus("Saving…", this.#passwordForm)
    const isDone = await this.#perform({ action: "password", password }, this.#passwordForm)
    if (!isDone) return
    this.#passwordForm.reset()
    this.#showStatus(password === "" ? "Password removed" : "Password set", this.#passwordForm)
    this.#field(this.#passwordForm, "password").focus()
  }

  /**
   * Asks before an action that cannot be undone. Somebody who cancels is back in the settings.
   *
   * @param {string} question
   * @param {HTMLButtonElement} button whose action it is
   */
  async #confirm(question, button) {
    const { action = "" } = button.dataset
    if (await ask(question)) {
      await this.#perform({ action }, this.#dialog)
    } else if (this.#rules.isHost) {
      this.#update()
      openDialog(this.#dialog.id)
      button.focus()
    }
  }

  /**
   * @param {Moderation} moderation
   * @param {Element} part of the dialog, where an error is shown
   * @returns {Promise<boolean>} whether it has worked
   */
  async #perform(moderation, part) {
    try {
      await this.#moderate(moderation)
      return true
    } catch (error) {
      this.#showError(error, part)
      return false
    }
  }

  /**
   * Shows a text in a part of the dialog, where it is seen, and nothing in the others.
   *
   * @param {string} text
   * @param {Element} part one of the forms; the dialog: what is below them
   */
  #showStatus(text, part) {
    for (const status of this.#statuses) {
      const isShown = status.parentElement === part
      if (status.textContent !== text || !isShown) status.textContent = isShown ? text : ""
    }
  }

  /**
   * @param {HTMLFormElement} form
   * @param {string} name
   * @returns {HTMLInputElement} or a select element, which has the same value
   */
  #field(form, name) {
    return /** @type {HTMLInputElement} */ (form.elements.namedItem(name))
  }
}

// What the header's buttons do: open dialogs, copy the link, choose what one is told of, change the room's name.

import { Refused } from "./answers.js"

/** @import { Level, Notices } from "./notices.js" */

const COPIED_MS = 2000
const UNREACHED = "The name could not be changed: there is no connection now."

export function listenToDialogs() {
  for (const button of document.querySelectorAll("[data-opens]")) button.addEventListener("click", () => openDialog(/** @type {HTMLElement} */ (button).dataset.opens ?? ""))
  for (const dialog of document.querySelectorAll("dialog")) {
    dialog.addEventListener("click", (event) => {
      if (event.target === dialog) dialog.close()
    })
  }
}

/** One at a time. @param {string} id */
export function openDialog(id) {
  for (const dialog of /** @type {NodeListOf<HTMLDialogElement>} */ (document.querySelectorAll("dialog:modal"))) dialog.close()
  const dialog = /** @type {HTMLDialogElement} */ (document.getElementById(id))
  for (const image of dialog.querySelectorAll("img")) image.src ||= image.dataset.src ?? ""
  dialog.showModal()
}

/** @param {HTMLElement} bell @param {HTMLDialogElement} dialog @param {Notices} notices */
export function ringBell(bell, dialog, notices) {
  const why = /** @type {HTMLElement} */ (dialog.querySelector(".dialog__why"))
  const levels = /** @type {HTMLInputElement[]} */ ([...dialog.querySelectorAll("input")])
  const draw = () => {
    for (const input of levels) input.checked = input.value === notices.level
    bell.dataset.level = notices.level
  }
  const explain = (/** @type {string} */ words) => {
    why.textContent = words
    for (const input of levels) input.disabled = words !== ""
    draw()
  }
  bell.addEventListener("click", async () => {
    dialog.showModal()
    explain(await notices.ask())
  })
  for (const input of levels) {
    input.addEventListener("change", () => {
      notices.level = /** @type {Level} */ (input.value)
      draw()
    })
  }
  dialog.querySelector("[data-test]")?.addEventListener("click", () => {
    why.textContent = why.textContent || notices.test()
  })
  draw()
}

/** @param {HTMLElement} button @param {() => string} link @param {(words: string) => void} announce */
export function copyLink(button, link, announce) {
  const words = /** @type {HTMLElement} */ (button.querySelector(".button__words"))
  const before = words.textContent
  button.addEventListener("click", async () => {
    const copied = await copy(link())
    words.textContent = copied ? "Copied" : "Not copied"
    button.toggleAttribute("data-copied", copied)
    announce(copied ? "Copied" : "Not copied: this browser does not allow it. The link is in the address bar.")
    setTimeout(() => {
      words.textContent = before
      delete button.dataset.copied
    }, COPIED_MS)
  })
}

/** Whether it is in the clipboard now. @param {string} text */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text)
    return true
  } catch {
    return copyByHand(text) // plain http has no clipboard
  }
}

/** @param {string} text */
function copyByHand(text) {
  const field = document.createElement("textarea")
  const focused = /** @type {HTMLElement | null} */ (document.activeElement)
  field.value = text
  field.readOnly = true
  field.className = "unseen"
  document.body.append(field)
  field.select()
  const copied = document.execCommand("copy")
  field.remove()
  focused?.focus()
  return copied
}

/** The phone's own way of sending a link, where there is one. @param {HTMLElement} button @param {() => { title: string, url: string }} what */
export function shareNatively(button, what) {
  button.hidden = !("share" in navigator)
  button.addEventListener("click", () => navigator.share(what()).catch(() => {})) // called off is no error
}

/** The room's name: a press changes it in place, for everybody. */
export class Title {
  #name
  #button
  #field
  #form
  #parts

  /** @param {HTMLElement} place @param {{ label: string, save: (name: string) => Promise<unknown>, tell: (words: string) => void }} parts */
  constructor(place, parts) {
    this.#name = /** @type {HTMLElement} */ (place.querySelector("h1"))
    this.#button = /** @type {HTMLButtonElement} */ (place.querySelector("button"))
    this.#form = /** @type {HTMLFormElement} */ (place.querySelector("form"))
    this.#field = /** @type {HTMLInputElement} */ (this.#form.querySelector("input"))
    this.#parts = parts
    this.#button.addEventListener("click", () => this.#edit(true))
    this.#field.addEventListener("blur", () => this.#finish())
    this.#field.addEventListener("keydown", (event) => {
      if (event.key === "Escape") {
        event.preventDefault()
        this.#edit(false)
      }
    })
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault()
      this.#finish()
    })
  }

  /** @param {string} name as everybody sees it now; the label when the room has none */
  show = (name) => (this.#name.textContent = name)

  /** @param {boolean} editing */
  #edit(editing) {
    const { textContent } = this.#name
    this.#form.hidden = !editing
    for (const shown of [this.#name, this.#button]) shown.hidden = editing
    if (!editing) return this.#button.focus()
    this.#field.value = textContent === this.#parts.label ? "" : (textContent ?? "")
    this.#field.focus()
    this.#field.select()
  }

  async #finish() {
    if (this.#form.hidden) return
    const name = this.#field.value.trim()
    const before = this.#name.textContent ?? ""
    this.#edit(false)
    if ((name || this.#parts.label) === before) return
    this.show(name || this.#parts.label)
    try {
      await this.#parts.save(name)
    } catch (error) {
      this.show(before)
      this.#parts.tell(error instanceof Refused ? error.message : UNREACHED)
    }
  }
}

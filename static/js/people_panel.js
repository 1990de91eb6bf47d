// The list of who is here: beside the messages where there is room, over them where there is not. Loaded when it is first opened.

import { write, writeMark } from "./extras.js"
import { lookOf } from "./people.js"

/** @import { Ignored } from "./storage.js" */
/** @import { People } from "./people.js" */

const BESIDE = "(min-width: 76rem)"
const PARTLY = "The server cannot see everybody just now: these are the people it knows of."

export class PeoplePanel {
  #panel
  #parts

  /** @param {HTMLDialogElement} panel @param {{ people: People, ignored: Ignored, me: () => string, template: (name: string) => HTMLElement, mention: (name: string) => void }} parts */
  constructor(panel, parts) {
    this.#panel = panel
    this.#parts = parts
    for (const told of [parts.people, parts.ignored]) told.addEventListener("change", () => panel.open && this.#draw())
    panel.addEventListener("click", ({ target }) => this.#pressed(/** @type {HTMLElement} */ (target)))
    panel.addEventListener("keydown", (event) => event.key === "Escape" && (event.preventDefault(), panel.close()))
  }

  toggle() {
    if (this.#panel.open) return this.#panel.close()
    this.#draw()
    if (matchMedia(BESIDE).matches) this.#panel.show()
    else this.#panel.showModal()
  }

  #draw() {
    const { people, ignored, me } = this.#parts
    const { here, count } = people
    const away = Object.entries(ignored.all).filter(([mark]) => !here.some((each) => each.mark === mark))
    const all = [...here, ...away.map(([mark, name]) => ({ mark, name }))]
    const looks = all.flatMap(({ name }) => (name ? lookOf(name) : []))
    this.#panel.toggleAttribute("data-twins", looks.includes("") || new Set(looks).size < looks.length)
    this.#part("title").textContent = people.counted
    this.#part("note").textContent = people.partial ? PARTLY : count > here.length ? `and ${count - here.length} more` : ""
    this.#part("list").replaceChildren(...all.map(({ mark, name }) => this.#person(mark, name, mark === me())))
  }

  /** @param {string} mark @param {string} name @param {boolean} me */
  #person(mark, name, me) {
    const element = this.#parts.template("person")
    const ignored = this.#parts.ignored.has(mark)
    writeMark(element, ".person__mark", mark, name)
    write(element, ".person__name", name || "No name yet").toggleAttribute("data-none", !name)
    write(element, ".person__note", me ? "you" : ignored ? "ignored" : "")
    const [mention, ignore] = /** @type {HTMLButtonElement[]} */ ([...element.querySelectorAll("button")])
    mention.dataset.name = name
    mention.disabled = me || !name
    Object.assign(ignore.dataset, { mark, name })
    ignore.hidden = me
    ignore.textContent = ignored ? "Stop ignoring" : "Ignore"
    return element
  }

  /** @param {HTMLElement} target */
  #pressed(target) {
    const { mark, name = "" } = target.closest("button")?.dataset ?? {}
    const { ignored, mention } = this.#parts
    if (mark) ignored.turn(mark, name)
    else if (name) {
      if (this.#panel.matches(":modal")) this.#panel.close()
      mention(name)
    }
  }

  /** @param {string} name */
  #part(name) {
    return /** @type {HTMLElement} */ (this.#panel.querySelector(`.people__${name}`))
  }
}

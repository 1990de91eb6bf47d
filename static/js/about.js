// The rooms this browser remembers, on the front page.

import { RecentRooms, Storage } from "./storage.js"
import { chooseTheme } from "./theme.js"

/** @import { Visit } from "./storage.js" */

const storage = new Storage()
const rooms = new RecentRooms(storage)
const section = /** @type {HTMLElement} */ (document.getElementById("recent"))
const list = /** @type {HTMLElement} */ (section.querySelector("ul"))
const template = /** @type {HTMLTemplateElement} */ (document.getElementById("visit-template"))

/** @param {Visit} visit */
function drawn({ label, name }) {
  const element = /** @type {HTMLElement} */ (document.importNode(template.content, true).firstElementChild)
  const link = /** @type {HTMLAnchorElement} */ (element.querySelector("a"))
  const button = /** @type {HTMLButtonElement} */ (element.querySelector("button"))
  link.href = `/${encodeURIComponent(label)}/`
  link.textContent = name || label
  button.setAttribute("aria-label", `Forget ${name || label}`)
  button.addEventListener("click", () => {
    rooms.forget(label)
    draw()
    ;(list.querySelector("button") ?? document.querySelector("main"))?.focus()
  })
  return element
}

function draw() {
  const visits = rooms.all()
  section.hidden = visits.length === 0
  list.replaceChildren(...visits.map(drawn))
}

draw()
chooseTheme(/** @type {HTMLElement} */ (document.getElementById("theme")), storage)

// Light, dark, or as the system has it.

/** @import { Storage } from "./storage.js" */

const KEY = "theme"
const SYSTEM = "system"

/** @param {HTMLElement} place with a radio button for each @param {Storage} storage */
export function chooseTheme(place, storage) {
  const chosen = storage.get(KEY) ?? SYSTEM
  for (const input of place.querySelectorAll("input")) {
    input.checked = input.value === chosen
    input.addEventListener("change", () => {
      storage.set(KEY, input.value)
      if (input.value === SYSTEM) delete document.documentElement.dataset.theme
      else document.documentElement.dataset.theme = input.value
    })
  }
}

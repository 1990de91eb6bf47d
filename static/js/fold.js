// Long messages are folded: a screenful is enough to know whether one wants the rest.

const LINES = 25
const CHARACTERS = 2000

/** @param {string} text */
export function isLong(text) {
  return text.length > CHARACTERS || text.split("\n", LINES + 1).length > LINES
}

/** Folds a message, or leaves it as it is when it is short; one that was opened stays open. @param {HTMLElement} element @param {string} text @param {() => HTMLElement} button a fresh one */
export function fold(element, text, button) {
  const there = element.querySelector(".message__more")
  if (isLong(text) && there) return
  there?.remove()
  delete element.dataset.folded
  if (!isLong(text)) return
  element.dataset.folded = "true"
  element.querySelector(".message__text")?.after(button())
}

/** @param {HTMLElement} element @param {HTMLElement} button */
export function turn(element, button) {
  const folded = element.dataset.folded !== "true"
  element.dataset.folded = String(folded)
  button.ariaExpanded = String(!folded)
  button.textContent = folded ? "Show more" : "Show less"
}

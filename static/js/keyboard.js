// Keyboards: the way through the page without a mouse, and the room that one on the screen takes.

const BAR_PX = 80 // less than this is a bar of the browser

/**
 * @typedef {object} Ways
 * @property {() => HTMLElement[]} regions what F6 goes round, each the place in it that takes the focus
 * @property {HTMLElement} log
 * @property {HTMLElement} words where one types
 * @property {() => void} latest
 * @property {() => void} escape what Esc undoes before it returns to the words
 * @property {() => void} help
 */

/** @param {Ways} ways */
export function listenToKeys(ways) {
  document.addEventListener("keydown", (event) => {
    if (isElsewhere(event)) return
    if (event.key === "F6") goRound(event, ways.regions())
    else if (event.key === "Escape") escape(ways)
    else if (event.key === "?" && !isField(event.target)) take(event, ways.help)
    else if (isWord(event)) ways.words.focus()
  })
  ways.log.addEventListener("keydown", (event) => {
    if (!(event.ctrlKey || event.altKey || event.metaKey || event.shiftKey)) walk(event, ways)
  })
  ways.log.addEventListener("focusin", ({ target }) => nameIt(/** @type {HTMLElement} */ (target)))
  nameIt(/** @type {HTMLElement} */ (document.activeElement))
}

/** It is for the input method, for the browser, or for what is open above the page. @param {KeyboardEvent} event */
const isElsewhere = (event) => event.isComposing || event.defaultPrevented || event.altKey || event.metaKey || document.querySelector("dialog:modal, :popover-open") !== null

/** @param {Event} event @param {() => void} work */
function take(event, work) {
  event.preventDefault()
  work()
}

/** Somebody begins to write, wherever they are; what is a button or a message has keys of its own. @param {KeyboardEvent} event */
const isWord = ({ key, ctrlKey, target }) => key.length === 1 && key !== " " && !ctrlKey && !/** @type {Element} */ (target).closest("input, textarea, select, button, a, dialog, .message")

/** @param {EventTarget | null} target */
const isField = (target) => target instanceof HTMLElement && target.matches("input, textarea, select")

/** @param {Ways} ways */
function escape({ words, escape: undo }) {
  undo()
  words.focus()
}

/** @param {KeyboardEvent} event @param {HTMLElement[]} regions */
function goRound(event, regions) {
  const here = regions.findIndex((region) => closestRegion(region)?.contains(document.activeElement))
  const step = event.shiftKey ? -1 : 1
  const there = here < 0 ? 0 : (here + step + regions.length) % regions.length
  take(event, () => regions[there].focus())
}

/** @param {HTMLElement} place */
const closestRegion = (place) => place.closest("header, [role='log'], form.composer, dialog")

/** @param {KeyboardEvent} event @param {Ways} ways */
function walk(event, { log, latest }) {
  const target = /** @type {HTMLElement} */ (event.target)
  if (target !== log && !target.matches(".message, .message *")) return
  const messages = /** @type {HTMLElement[]} */ ([...log.querySelectorAll(".message")].filter((message) => message.checkVisibility()))
  const here = messages.findIndex((message) => message.contains(target))
  const to = { ArrowUp: here < 0 ? -1 : Math.max(here - 1, 0), ArrowDown: here < 0 ? -1 : here + 1, Home: 0, End: -1 }[event.key]
  if (to === undefined) return
  event.preventDefault()
  if (event.key === "End") latest()
  messages.at(to)?.focus({ preventScroll: event.key === "End" })
}

/** One name for the whole message, as long as it is looked at. @param {HTMLElement} message */
function nameIt(message) {
  if (!message.matches(".message")) return
  const part = (/** @type {string} */ name) => message.querySelector(`.message__${name}`)?.textContent?.trim() ?? ""
  const toYou = message.hasAttribute("data-names") ? "names you" : ""
  message.ariaLabel = [...["name", "time", "text", "note"].map(part), toYou].filter(Boolean).join(", ")
  message.addEventListener("focusout", () => message.removeAttribute("aria-label"), { once: true })
}

/** One on the screen takes its room from the page, also in browsers that would lay it over the page. @param {HTMLElement} room @param {VisualViewport | null} view */
export function mindKeyboard(room, view) {
  const fit = () => {
    if (!view) return
    const covered = view.scale === 1 && innerHeight - view.height > BAR_PX // a page that is zoomed in is as large as before
    room.style.blockSize = covered ? `${view.height}px` : ""
    room.style.insetBlockStart = covered ? `${view.offsetTop}px` : ""
  }
  for (const change of ["resize", "scroll"]) view?.addEventListener(change, fit)
  fit()
}

// Moves the focus between the items of a menu with the keyboard, as the ARIA pattern for menus
// describes: https://www.w3.org/WAI/ARIA/apg/patterns/menubar/

import { latinLetter } from "../lib/keys.js"

/** @param {HTMLElement} menu */
export function setUpMenuKeys(menu) {
  menu.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return
    const items = visibleItems(menu)
    const current = items.indexOf(/** @type {HTMLElement} */ (event.target))
    const next = nextItem(event, items, current)
    if (!next) return
    event.preventDefault()
    next.focus()
  })
}

/**
 * The items that are shown, in order.
 *
 * @param {HTMLElement} menu
 */
export function visibleItems(menu) {
  const items = /** @type {HTMLElement[]} */ ([...menu.querySelectorAll("[role=menuitem]")])
  return items.filter((item) => item.checkVisibility({ visibilityProperty: true }))
}

/**
 * @param {KeyboardEvent} event
 * @param {HTMLElement[]} items
 * @param {number} current the index of the item that has the focus; -1 when none has
 * @returns {HTMLElement | undefined}
 */
function nextItem(event, items, current) {
  if (event.key === "Home") return items.at(0)
  if (event.key === "End") return items.at(-1)
  if (event.key === "ArrowRight") return items.at((current + 1) % items.length)
  if (event.key === "ArrowLeft") return items.at(Math.max(current, 0) - 1)
  if (event.key === "ArrowDown") return itemBelow(items, items[current]) ?? items.at(0)
  if (event.key === "ArrowUp") return itemAbove(items, items[current]) ?? items.at(-1)
  return nextItemWithLetter(items, current, latinLetter(event))
}

/**
 * @param {HTMLElement[]} items
 * @param {HTMLElement | undefined} item
 */
function itemBelow(items, item) {
  if (!item) return undefined
  const { bottom } = item.getBoundingClientRect()
  const below = items.filter((other) => other.getBoundingClientRect().top >= bottom - 1)
  return nearestInRow(below, item)
}

/**
 * @param {HTMLElement[]} items
 * @param {HTMLElement | undefined} item
 */
function itemAbove(items, item) {
  if (!item) return undefined
  const { top } = item.getBoundingClientRect()
  const above = items.filter((other) => other.getBoundingClientRect().bottom <= top + 1)
  return nearestInRow(above.reverse(), item)
}

/**
 * Of the row of the first item, the one that is nearest to the column of another item.
 *
 * @param {HTMLElement[]} items
 * @param {HTMLElement} item
 */
function nearestInRow(items, item) {
  const row = items.filter((other) => topOf(other) === topOf(items[0]))
  const distance = (/** @type {HTMLElement} */ other) => Math.abs(centerOf(other) - centerOf(item))
  return row.sort((first, second) => distance(first) - distance(second)).at(0)
}

/** @param {HTMLElement} item */
function topOf(item) {
  return Math.round(item.getBoundingClientRect().top)
}

/** @param {HTMLElement} item */
function centerOf(item) {
  const { left, right } = item.getBoundingClientRect()
  return (left + right) / 2
}

/**
 * The next item after the current one, or else from the beginning, whose name begins with a letter.
 *
 * @param {HTMLElement[]} items
 * @param {number} current
 * @param {string} letter
 */
function nextItemWithLetter(items, current, letter) {
  if (letter === "") return undefined
  const inOrder = [...items.slice(current + 1), ...items.slice(0, current + 1)]
  return inOrder.find((item) => nameOf(item).startsWith(letter))
}

/** @param {HTMLElement} item */
function nameOf(item) {
  return (item.ariaLabel ?? item.textContent ?? "").trim().toLowerCase()
}

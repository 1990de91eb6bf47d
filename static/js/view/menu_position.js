// Where a menu is on the screen; on a small screen CSS puts it at the bottom.

import { clamp } from "../lib/geometry.js"

/** The distance that a menu keeps from the edges of the screen and from what it belongs to. */
export const MENU_MARGIN_PX = 8

/**
 * Moves an open menu to a position, or as near to it as there is space.
 *
 * @param {HTMLElement} menu
 * @param {{ left: number, top: number }} position
 */
export function moveMenu(menu, { left, top }) {
  const { width, height } = menu.getBoundingClientRect()
  const maxLeft = innerWidth - width - MENU_MARGIN_PX
  const maxTop = innerHeight - height - MENU_MARGIN_PX
  menu.style.setProperty("--left", `${clamp(left, MENU_MARGIN_PX, maxLeft)}px`)
  menu.style.setProperty("--top", `${clamp(top, MENU_MARGIN_PX, maxTop)}px`)
}

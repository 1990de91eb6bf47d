// Distances and ranges on the screen.

/**
 * The distance between two events of a pointer, in pixels.
 *
 * @param {Pick<PointerEvent, "clientX" | "clientY">} from
 * @param {Pick<PointerEvent, "clientX" | "clientY">} to
 */
export function distance(from, to) {
  return Math.hypot(to.clientX - from.clientX, to.clientY - from.clientY)
}

/**
 * The number within a range that is nearest to a value; `min` where the range is empty.
 *
 * @param {number} value
 * @param {number} min
 * @param {number} max
 */
export function clamp(value, min, max) {
  return Math.max(min, Math.min(value, max))
}

// Shrinks the room to what an on-screen keyboard leaves visible, in browsers that lay it over the
// page.

const MIN_KEYBOARD_HEIGHT_PX = 80 // less is a toolbar of the browser

/**
 * @param {HTMLElement} room
 * @param {VisualViewport | null} viewport
 */
export function fitToVirtualKeyboard(room, viewport) {
  if (!viewport) return

  function fit() {
    const { scale, height, offsetTop } = /** @type {VisualViewport} */ (viewport)
    const isZoomed = scale !== 1 // zooming in changes the viewport too
    const isCovered = !isZoomed && innerHeight - height > MIN_KEYBOARD_HEIGHT_PX
    room.style.blockSize = isCovered ? `${height}px` : ""
    room.style.insetBlockStart = isCovered ? `${offsetTop}px` : ""
  }

  viewport.addEventListener("resize", fit)
  viewport.addEventListener("scroll", fit)
  fit()
}

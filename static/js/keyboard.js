// A keyboard on the screen takes its room from the page, also in browsers that would lay it over the page.

const BAR_PX = 80 // less than this is a bar of the browser

/** @param {HTMLElement} room @param {VisualViewport | null} view */
export function mindKeyboard(room, view) {
  const fit = () => {
    if (!view) return
    const covered = view.scale === 1 && innerHeight - view.height > BAR_PX // a page that is zoomed in is as large as before
    room.style.blockSize = covered ? `${view.height}px` : ""
    room.style.insetBlockStart = covered ? `${view.offsetTop}px` : ""
  }
  for (const change of ["resize", "scroll"]) view?.addEventListener(change, fit)
}

// One sentence to the reader that goes away by itself.

const SHOWN_MS = 6000

/** @param {HTMLElement} place @returns {(words: string) => void} */
export function noticeIn(place) {
  let timer = 0
  return (words) => {
    place.textContent = words
    clearTimeout(timer)
    timer = setTimeout(() => (place.textContent = ""), SHOWN_MS)
  }
}

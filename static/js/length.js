// How long a text is, counted as the server counts, and how it is cut when it is too long.

export const lengthOf = (/** @type {string} */ text) => [...text].length

/** In parts of at most so many characters, cut at the end of a line or a word where there is one. @param {string} text that begins with something to see @param {number} most @returns {string[]} */
export function parts(text, most) {
  const fits = [...text].slice(0, most).join("")
  if (fits.length === text.length) return text.trim() ? [text] : []
  const cut = Math.max(fits.lastIndexOf("\n"), fits.lastIndexOf(" ")) + 1 || fits.length
  return [text.slice(0, cut).trimEnd(), ...parts(text.slice(cut).trimStart(), most)]
}

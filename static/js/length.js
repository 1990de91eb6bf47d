// How long a text is, counted as the server counts, and how it is cut when it is too long.

/** @param {string} text */
export const lengthOf = (text) => [...text].length

/** The text in parts of at most so many characters, cut at the end of a line or a word where there is one. @param {string} text @param {number} most */
export function parts(text, most) {
  const all = []
  let rest = [...text.trim()]
  while (rest.length > most) {
    const head = rest.slice(0, most).join("")
    const cut = [head.lastIndexOf("\n"), head.lastIndexOf(" ")].find((at) => at > head.length / 2) ?? head.length
    all.push(head.slice(0, cut).trimEnd())
    rest = [...rest.join("").slice(cut).trimStart()]
  }
  return [...all, rest.join("")].filter((part) => part.trim())
}

// Applies what this browser remembers before the first paint: the theme, whether a name is known
// and how it begins, and whether the list of people is hidden. A classic script and not a module,
// because modules run after the page is parsed.

;(function applyStoredPreferences() {
  const { dataset, style } = document.documentElement
  try {
    const theme = JSON.parse(localStorage.getItem("confab:theme") ?? "null")
    if (theme === "light" || theme === "dark") dataset.theme = theme
    if (JSON.parse(localStorage.getItem("confab:people") ?? "null") === "hidden") {
      dataset.people = "hidden"
    }
    const name = JSON.parse(localStorage.getItem("confab:name") ?? "null")
    if (typeof name !== "string" || name.trim() === "") return
    dataset.named = ""
    style.setProperty("--own-initial", JSON.stringify(firstGrapheme(name.trim())))
  } catch {
    // Storage is forbidden, or contains something else: the page keeps its defaults.
  }

  /**
   * @param {string} text
   * @returns {string}
   */
  function firstGrapheme(text) {
    const isLatin = /^[ -\u02ff](?:[ -\u02ff]|$)/.test(text)
    if (isLatin) return text[0] // creating an Intl.Segmenter takes milliseconds
    const [first] = new Intl.Segmenter().segment(text)
    return first.segment
  }
})()

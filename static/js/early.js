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
    const [first] = new Intl.Segmenter().segment(name.trim())
    style.setProperty("--own-initial", JSON.stringify(first.segment))
  } catch {
    // Storage is forbidden, or contains something else: the page keeps its defaults.
  }
})()

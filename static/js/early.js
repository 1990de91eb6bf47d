// Applies the chosen theme, and notes whether a name is known, before the first paint. A classic
// script and not a module, because modules run after the page is parsed.

;(function applyStoredPreferences() {
  const { dataset } = document.documentElement
  try {
    const theme = JSON.parse(localStorage.getItem("confab:theme") ?? "null")
    if (theme === "light" || theme === "dark") dataset.theme = theme
    const name = JSON.parse(localStorage.getItem("confab:name") ?? "null")
    if (name) dataset.named = ""
  } catch {
    // Storage is forbidden, or contains something else: the page keeps its defaults.
  }
})()

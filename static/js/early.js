// Before anything is painted: the colours this person has chosen, and whether they have a name. No module, because modules come after the first paint.

;(function early() {
  try {
    const theme = JSON.parse(localStorage.getItem("confab:theme") ?? "null")
    if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme
    if (JSON.parse(localStorage.getItem("confab:name") ?? "null")) document.documentElement.dataset.named = ""
  } catch {
    // Then as the system has it.
  }
})()

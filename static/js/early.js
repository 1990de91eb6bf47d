// Before anything is painted: the colours this person has chosen. No module, because modules come after the first paint.

;(function early() {
  try {
    const theme = JSON.parse(localStorage.getItem("confab:theme") ?? "null")
    if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme
  } catch {
    // Then as the system has it.
  }
})()

// The choice between the light theme, the dark theme and the system's.

/** @import { Preferences } from "../state/preferences.js" */

const PREFERENCE_KEY = "theme"
const SYSTEM = "system"

/**
 * @param {HTMLElement} fieldset with a radio button for each theme
 * @param {Preferences} preferences
 */
export function setUpThemeChoice(fieldset, preferences) {
  const inputs = [...fieldset.querySelectorAll("input")]

  function showChosen() {
    const chosen = preferences.get(PREFERENCE_KEY) ?? SYSTEM
    for (const input of inputs) input.checked = input.value === chosen
  }

  for (const input of inputs) {
    input.addEventListener("change", () => {
      preferences.set(PREFERENCE_KEY, input.value)
      applyTheme(input.value)
    })
  }
  preferences.onChangedElsewhere(PREFERENCE_KEY, (theme) => {
    applyTheme(theme ?? SYSTEM)
    showChosen()
  })
  showChosen()
}

/** @param {string} theme */
function applyTheme(theme) {
  if (theme === SYSTEM) delete document.documentElement.dataset.theme
  else document.documentElement.dataset.theme = theme
}

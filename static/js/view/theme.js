// The choice between the light theme, the dark theme and the system's.

/** @import { Preferences } from "../state/preferences.js" */

const PREFERENCE_KEY = "theme"
const SYSTEM = "system"

/**
 * @param {HTMLElement} fieldset with a radio button for each theme
 * @param {Preferences} preferences
 */
export function setUpThemeChoice(fieldset, preferences) {
  const chosen = preferences.get(PREFERENCE_KEY) ?? SYSTEM
  for (const input of fieldset.querySelectorAll("input")) {
    input.checked = input.value === chosen
    input.addEventListener("change", () => {
      preferences.set(PREFERENCE_KEY, input.value)
      applyTheme(input.value)
    })
  }
}

/** @param {string} theme */
function applyTheme(theme) {
  if (theme === SYSTEM) delete document.documentElement.dataset.theme
  else document.documentElement.dataset.theme = theme
}

// The dialog in which a person chooses what to be notified about.

/** @import { NotificationLevel, Notifications } from "./notifications.js" */

/**
 * @param {HTMLElement} bell the button that opens the dialog
 * @param {HTMLDialogElement} dialog
 * @param {Notifications} notifications
 */
export function setUpNotificationSettings(bell, dialog, notifications) {
  const status = /** @type {HTMLElement} */ (dialog.querySelector(".dialog__status"))
  const inputs = [...dialog.querySelectorAll("input")]

  function showLevel() {
    for (const input of inputs) input.checked = input.value === notifications.level
    bell.dataset.level = notifications.level
  }

  /** @param {string} problem why notifications cannot be shown; empty when they can */
  function showProblem(problem) {
    status.textContent = problem
    for (const input of inputs) input.disabled = problem !== ""
    showLevel()
  }

  bell.addEventListener("click", async () => {
    dialog.showModal()
    showProblem(await notifications.requestPermission())
  })
  for (const input of inputs) {
    input.addEventListener("change", () => {
      notifications.level = /** @type {NotificationLevel} */ (input.value)
      showLevel()
    })
  }
  dialog.querySelector("[data-test]")?.addEventListener("click", () => {
    if (status.textContent === "") status.textContent = notifications.showTest()
  })
  notifications.onLevelChange(showLevel)
  showLevel()
}

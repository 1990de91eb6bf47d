// The dialogs about the data of this person: the summary, leaving the room, deleting everything.

import { basePath } from "../lib/site.js"
import { announceLeft, forgetRoom, onLeftElsewhere } from "../state/room_memory.js"
import { byId, fieldsOf, setText } from "./dom.js"

/** @import { Summary } from "../net/own_data.js" */
/** @import { Preferences } from "../state/preferences.js" */

const NO_SUMMARY = "How much you have written could not be counted. Please try again later."
const ERASED = "Everything you wrote in this room has been deleted."
const NOT_ERASED = "Not everything could be deleted. Please try again."

/**
 * @callback EraseAll
 * @param {string} url
 * @param {URLSearchParams} fields
 * @param {(erased: number) => void} onProgress
 * @returns {Promise<boolean>} whether everything is deleted
 */

/**
 * @typedef {object} Dependencies
 * @property {string} label
 * @property {Preferences} preferences
 * @property {() => Promise<Summary | null>} loadSummary
 * @property {EraseAll} eraseAll
 */

/** @param {Dependencies} dependencies */
export function setUpOwnDataDialogs(dependencies) {
  setUpSummary(dependencies)
  setUpLeaving(dependencies)
  setUpErasure(dependencies)
}

/** @param {Pick<Dependencies, "loadSummary">} dependencies */
function setUpSummary({ loadSummary }) {
  const dialog = byId("your-data")
  const openers = document.querySelectorAll('[data-opens="your-data"]')
  const show = async () => {
    setText(dialog, ".own-data__summary", "")
    const found = await loadSummary()
    setText(dialog, ".own-data__summary", found ? found.summary : NO_SUMMARY)
    dialog.toggleAttribute("data-empty", found?.is_empty ?? false)
  }
  for (const opener of openers) opener.addEventListener("click", show)
}

/**
 * The form goes to the home page by itself. Other tabs with the room go there too.
 *
 * @param {Pick<Dependencies, "label" | "preferences">} dependencies
 */
function setUpLeaving({ label, preferences }) {
  const forgetNow = () => forgetRoom(label, preferences)
  const forget = () => {
    forgetNow()
    // Again after the other listeners, which store what is not saved when the page is left.
    addEventListener("pagehide", forgetNow)
    document.addEventListener("visibilitychange", forgetNow)
  }
  byId("leave").addEventListener("submit", (event) => {
    const button = /** @type {HTMLButtonElement | null} */ (
      /** @type {SubmitEvent} */ (event).submitter
    )
    if (button?.formMethod === "dialog") return // the person has canceled
    if (/** @type {HTMLFormElement} */ (event.target).method !== "post") return
    forget()
    announceLeft(label, preferences)
  })
  onLeftElsewhere(label, preferences, () => {
    forget()
    location.assign(`${basePath}/`)
  })
}

/** @param {Pick<Dependencies, "eraseAll">} dependencies */
function setUpErasure({ eraseAll }) {
  const dialog = /** @type {HTMLDialogElement} */ (byId("erasure"))
  const status = /** @type {HTMLElement} */ (dialog.querySelector(".dialog__status"))
  dialog.addEventListener("close", () => {
    if (dialog.dataset.state !== "running") showState("", "")
  })
  dialog.addEventListener("submit", async (event) => {
    const form = /** @type {HTMLFormElement} */ (event.target)
    const button = /** @type {HTMLButtonElement | null} */ (event.submitter)
    const method = button?.formMethod || form.method
    if (method !== "post") return // the person has canceled
    event.preventDefault()
    if (dialog.dataset.state === "running") return
    showState("running", "Deleting…")
    const isErased = await eraseAll(form.action, fieldsOf(form), (erased) => {
      showState("running", `Deleting… ${erased.toLocaleString()} deleted so far`)
    })
    showState(isErased ? "done" : "failed", isErased ? ERASED : NOT_ERASED)
  })

  /**
   * @param {string} state
   * @param {string} text
   */
  function showState(state, text) {
    dialog.dataset.state = state
    status.textContent = text
  }
}

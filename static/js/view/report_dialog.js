// The dialog that reports a message or the room.

import { truncate } from "../lib/text.js"
import { openDialog } from "./dialogs.js"
import { fieldsOf, setText } from "./dom.js"

/** @import { Row } from "../wire.js" */
/** @import { ShowToast } from "./toast.js" */

const MAX_SHOWN_CHARACTERS = 500
const SENT = "Thank you, the report has been sent."

export class ReportDialog {
  #dialog
  #form

  /**
   * @param {HTMLDialogElement} dialog
   * @param {object} dependencies
   * @param {(url: string, fields: URLSearchParams) => Promise<string>} dependencies.send
   * @param {ShowToast} dependencies.showToast
   */
  constructor(dialog, { send, showToast }) {
    this.#dialog = dialog
    this.#form = /** @type {HTMLFormElement} */ (dialog.querySelector("form[action]"))
    dialog.addEventListener("submit", async (event) => {
      const form = /** @type {HTMLFormElement} */ (event.target)
      const button = /** @type {HTMLButtonElement | null} */ (event.submitter)
      const method = button?.formMethod || form.method
      if (method !== "post") return // the person has canceled
      event.preventDefault()
      const refusal = await send(this.#form.action, fieldsOf(this.#form))
      setText(dialog, ".dialog__status", refusal)
      if (refusal !== "") return
      dialog.close()
      showToast(SENT)
    })
    dialog.addEventListener("close", () => this.#show("", "", ""))
  }

  /**
   * Asks why a message is reported; without one, why the room is.
   *
   * @param {Pick<Row, "seq"> & Partial<Row>} [row]
   */
  open(row) {
    this.#form.reset()
    if (row) {
      const { seq, handle = "", message = "" } = row
      const text = truncate(message, MAX_SHOWN_CHARACTERS)
      this.#show("Report this message", `${handle}: ${text}`, String(seq))
    } else {
      this.#show("Report this room", "", "")
    }
    openDialog(this.#dialog.id)
  }

  /**
   * The message was deleted: its text must not stay here.
   *
   * @param {number} seq
   */
  forget(seq) {
    if (this.#dialog.dataset.seq === String(seq)) this.#dialog.close()
  }

  /**
   * @param {string} title
   * @param {string} message
   * @param {string} seq
   */
  #show(title, message, seq) {
    setText(this.#dialog, ".dialog__title", title)
    setText(this.#dialog, ".dialog__message", message).hidden = message === ""
    setText(this.#dialog, ".dialog__status", "")
    this.#dialog.dataset.seq = seq
    const field = /** @type {HTMLInputElement} */ (this.#form.elements.namedItem("seq"))
    field.value = seq
  }
}

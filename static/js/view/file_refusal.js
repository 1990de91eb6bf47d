// Explains that files cannot be sent, when somebody pastes or drops one.

const EXPLANATION = "Images and other files can't be sent yet, only text."
const TEXT_FIELDS = "input, textarea"

/**
 * A text that comes together with a file is kept. What is dropped is never opened in place of the
 * page, which browsers do with files and, outside of text fields, with links.
 *
 * @param {Document} page
 * @param {object} dependencies
 * @param {(text: string) => void} dependencies.insertText into the composer
 * @param {(text: string) => void} dependencies.showToast
 */
export function setUpFileRefusal(page, { insertText, showToast }) {
  page.addEventListener("paste", ({ clipboardData }) => {
    if (!hasFiles(clipboardData) || isFormattedText(clipboardData)) return
    showToast(EXPLANATION) // the browser inserts the text
  })
  page.addEventListener("dragover", (event) => {
    const isFile = hasFiles(event.dataTransfer)
    if (!isFile && isTextField(event.target)) return
    event.preventDefault() // otherwise files are opened without a `drop` event
    if (!isFile && event.dataTransfer) event.dataTransfer.dropEffect = "none"
  })
  page.addEventListener("drop", (event) => {
    if (!hasFiles(event.dataTransfer)) return
    event.preventDefault()
    const text = event.dataTransfer?.getData("text/plain") ?? ""
    if (text !== "") insertText(text)
    showToast(EXPLANATION)
  })
}

/** @param {DataTransfer | null} transfer */
function hasFiles(transfer) {
  return transfer?.types.includes("Files") ?? false
}

/**
 * Office programs copy a picture of the text too.
 *
 * @param {DataTransfer | null} transfer
 */
function isFormattedText(transfer) {
  return transfer?.types.includes("text/rtf") ?? false
}

/** @param {EventTarget | null} target */
function isTextField(target) {
  return target instanceof Element && target.matches(TEXT_FIELDS)
}

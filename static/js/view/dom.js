// Finds elements, copies templates, and writes text into the page.

/**
 * @typedef {(name: string) => HTMLElement} Templates returns a new copy of a template of the page
 */

/**
 * @param {string} id
 * @returns {HTMLElement}
 */
export function byId(id) {
  return /** @type {HTMLElement} */ (document.getElementById(id))
}

/**
 * A new copy of the template with the id `<name>-template`.
 *
 * @type {Templates}
 */
export function cloneTemplate(name) {
  const template = /** @type {HTMLTemplateElement} */ (byId(`${name}-template`))
  const fragment = document.importNode(template.content, true)
  return /** @type {HTMLElement} */ (fragment.firstElementChild)
}

/** Whether nothing has the focus, or something that is no longer shown. */
export function hasLostFocus() {
  const { activeElement, body } = document
  return !activeElement || activeElement === body || !activeElement.checkVisibility()
}

/**
 * Whether an element is in the visible part of the container that scrolls it.
 *
 * @param {Element} element
 * @param {Element} container
 */
export function isScrolledIntoView(element, container) {
  const visible = container.getBoundingClientRect()
  const { top, bottom } = element.getBoundingClientRect()
  return bottom > visible.top && top < visible.bottom
}

/**
 * Sets the text of an element inside another one; an unchanged text is not touched.
 *
 * @param {Element} element
 * @param {string} selector
 * @param {string} text
 */
export function setText(element, selector, text) {
  const part = /** @type {HTMLElement} */ (element.querySelector(selector))
  if (part.textContent !== text) part.textContent = text
  return part
}

/**
 * The fields of a form, as a browser without scripts would send them.
 *
 * @param {HTMLFormElement} form
 */
export function fieldsOf(form) {
  const fields = /** @type {[string, string][]} */ ([...new FormData(form)])
  return new URLSearchParams(fields)
}

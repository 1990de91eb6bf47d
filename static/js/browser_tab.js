// What of the page is seen when it is not: the title and the icon of its tab.

export class BrowserTab {
  #icon
  #quiet
  #count = 0
  #title = ""

  /** @param {HTMLLinkElement} icon which knows the address of its other drawing, with the dot */
  constructor(icon) {
    this.#icon = icon
    this.#quiet = icon.href
  }

  /** @param {string} title */
  set title(title) {
    this.#title = title
    this.#draw()
  }

  get count() {
    return this.#count
  }

  set count(count) {
    this.#count = count
    this.#draw()
  }

  #draw() {
    document.title = `${this.#count ? `(${this.#count}) ` : ""}${this.#title} · Confab`
    const icon = (this.#count && this.#icon.dataset.dot) || this.#quiet
    if (this.#icon.href !== icon) this.#icon.href = icon
  }
}

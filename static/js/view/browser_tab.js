// The title and the icon of the browser tab, which show the number of unread messages.

export class BrowserTab {
  #icon
  #normalIconUrl
  #unreadCount = 0
  #title = ""

  /** @param {HTMLLinkElement} icon its `data-unread-icon` is the address of the icon with a dot */
  constructor(icon) {
    this.#icon = icon
    this.#normalIconUrl = icon.href
  }

  /** @param {string} title */
  setTitle(title) {
    this.#title = title
    this.#update()
  }

  /** @param {number} count */
  setUnreadCount(count) {
    this.#unreadCount = count
    this.#update()
  }

  #update() {
    const prefix = this.#unreadCount > 0 ? `(${this.#unreadCount}) ` : ""
    document.title = `${prefix}${this.#title} · Confab`
    const unreadIconUrl = this.#icon.dataset.unreadIcon ?? this.#normalIconUrl
    const url = this.#unreadCount > 0 ? unreadIconUrl : this.#normalIconUrl
    if (this.#icon.href !== url) this.#icon.href = url
  }
}

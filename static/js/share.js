// The phone's own way of sending a link, where there is one.

/** @param {HTMLElement} button @param {() => { title: string, url: string }} what */
export function shareNatively(button, what) {
  button.hidden = !("share" in navigator)
  button.addEventListener("click", () => navigator.share(what()).catch(() => {})) // called off is no error
}

// Where this site is on its host, according to the page (`data-base-path` in base.html). Other
// sites may share the host, and with it the storage of the browser.

/** The path below which this site is: "" for the whole host, or as in "/chat". */
export const basePath = globalThis.document?.documentElement?.dataset?.basePath ?? ""

/** Begins the names of everything that this site stores or locks in the browser. */
export const storagePrefix = `confab${basePath}:`

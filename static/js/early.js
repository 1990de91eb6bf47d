// Decides before the first paint whether this browser can run the scripts of the page. Then it
// applies what the browser remembers (the theme, whether a name is known and how it begins, and
// whether the list of people is hidden), and loads the entry module. Otherwise the page stays as it
// is without JavaScript. A classic script and not a module: modules run after the page is parsed.

;(function startPage() {
  const { dataset, style } = document.documentElement
  const { entry } = /** @type {HTMLScriptElement} */ (document.currentScript).dataset

  // What the scripts and style sheets need, with the first versions of Chrome, Firefox and Safari
  // that have it (according to @mdn/browser-compat-data). docs/using.md and the templates name the
  // highest of these versions.
  const requirements = [
    () => "HTMLDialogElement" in window, // 37, 98, 15.4
    () => CSS.supports("selector(dialog:modal)"), // 105, 103, 15.6
    () => "checkVisibility" in Element.prototype, // 105, 106, 17.4
    () => "ariaPressed" in Element.prototype, // 81, 119, 12.1
    () => "findLast" in Array.prototype, // 97, 104, 15.4
    () => "hasOwn" in Object, // 93, 92, 15.4
    () => RegExp("(?<!a)b").test("b"), // 62, 78, 16.4
    () => CSS.supports("selector(:has(a))"), // 105, 121, 15.4
    () => CSS.supports("content", '"" / ""'), // 77, 128, 17.4
    () => CSS.supports("color", "color-mix(in srgb, red, blue)"), // 111, 113, 16.2
  ]

  /** @param {() => boolean} requirement throws in some browsers that do not fulfil it */
  function isFulfilled(requirement) {
    try {
      return requirement()
    } catch {
      return false
    }
  }

  function applyPreferences() {
    try {
      const theme = storedValue("theme")
      if (theme === "light" || theme === "dark") dataset.theme = theme
      if (storedValue("people") === "hidden") dataset.people = "hidden"
      const name = storedValue("name")
      if (typeof name !== "string" || name.trim() === "") return
      dataset.named = ""
      style.setProperty("--own-initial", JSON.stringify(firstGrapheme(name.trim())))
    } catch {
      // Storage is forbidden, or contains something else: the page keeps its defaults.
    }
  }

  /**
   * The value of a preference. The names of all keys are made in lib/site.js, which a classic
   * script cannot import.
   *
   * @param {string} key
   */
  function storedValue(key) {
    const stored = localStorage.getItem(`confab${dataset.basePath ?? ""}:${key}`)
    return JSON.parse(stored ?? "null")
  }

  /**
   * @param {string} text
   * @returns {string}
   */
  function firstGrapheme(text) {
    const isLatin = /^[ -\u02ff](?:[ -\u02ff]|$)/.test(text)
    if (isLatin) return text[0] // creating an Intl.Segmenter takes milliseconds
    const [first] = new Intl.Segmenter().segment(text)
    return first.segment
  }

  function showWithoutScripts() {
    delete dataset.scripted
  }

  /** @param {ErrorEvent} event */
  function handleFailedStart(event) {
    event.preventDefault() // it is no error: the page works without scripts
    showWithoutScripts()
  }

  /**
   * Loads the entry module. A script element and not `import()`: it delays the `load` event.
   *
   * @param {string} url
   */
  function loadModule(url) {
    const script = document.createElement("script")
    script.type = "module"
    script.src = url
    script.addEventListener("error", showWithoutScripts) // no network
    window.addEventListener("error", handleFailedStart) // a browser without the syntax
    script.addEventListener("load", () => window.removeEventListener("error", handleFailedStart))
    document.head.append(script)
  }

  if (!requirements.every(isFulfilled)) return
  dataset.scripted = ""
  applyPreferences()
  if (entry) document.addEventListener("DOMContentLoaded", () => loadModule(entry))
})()

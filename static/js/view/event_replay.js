// Records clicks and keys until the code that handles them is loaded, then dispatches them again.

/**
 * @param {Record<string, string>} selectors by event type: the elements whose events are recorded
 * @returns {() => void} stops recording, and dispatches the recorded events again
 */
export function recordEvents(selectors) {
  /** @type {Event[]} */
  const recorded = []
  const recording = new AbortController()
  for (const [type, selector] of Object.entries(selectors)) {
    const record = (/** @type {Event} */ event) => {
      const target = /** @type {Element} */ (event.target)
      if (!event.defaultPrevented && target.closest(selector)) recorded.push(event)
    }
    addEventListener(type, record, { signal: recording.signal })
  }
  return () => {
    recording.abort()
    for (const event of recorded) event.target?.dispatchEvent(copyOf(event))
  }
}

/**
 * An event can be dispatched only once.
 *
 * @param {Event} event
 * @returns {Event}
 */
function copyOf(event) {
  return Reflect.construct(event.constructor, [event.type, event])
}

// Calls what may throw, such as the browser's storage, which can be full or forbidden.

/**
 * @template T
 * @template U
 * @param {() => T} work
 * @param {U} fallback returned when `work` throws
 * @returns {T | U}
 */
export function attempt(work, fallback) {
  try {
    return work()
  } catch {
    return fallback
  }
}

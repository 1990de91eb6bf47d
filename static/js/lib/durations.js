// Durations in words, as the server has them in its sentences.

const DURATION_NAMES = new Map([
  [5, "5 seconds"],
  [10, "10 seconds"],
  [30, "30 seconds"],
  [60, "1 minute"],
  [300, "5 minutes"],
  [600, "10 minutes"],
  [3600, "1 hour"],
  [86_400, "24 hours"],
  [604_800, "7 days"],
  [2_592_000, "30 days"],
  [31_536_000, "1 year"],
])
const UNITS = /** @type {const} */ ([
  [86_400, "day"],
  [3600, "hour"],
  [60, "minute"],
  [1, "second"],
])

/** @param {number} seconds */
export function formatDuration(seconds) {
  const known = DURATION_NAMES.get(seconds)
  if (known) return known
  const [size, unit] = UNITS.find(([each]) => seconds % each === 0) ?? [1, "second"]
  const count = seconds / size
  return `${count} ${unit}${count === 1 ? "" : "s"}`
}

/**
 * How long the messages of a room are kept, as a sentence.
 *
 * @param {number} seconds 0 for ever
 */
export function keptText(seconds) {
  if (seconds === 0) return "Messages are kept until their author or a host deletes them."
  return `Messages disappear after ${formatDuration(seconds)}.`
}

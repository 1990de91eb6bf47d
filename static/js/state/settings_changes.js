// The rules of a room as hosts choose them in a form, and the actions that save their choice.

/** @import { Moderation } from "../wire.js" */
/** @import { RoomRules } from "./room_rules.js" */

/**
 * @typedef {object} Settings
 * @property {boolean} isLocked
 * @property {number} slowModeSeconds
 * @property {boolean} isNamedByHosts
 * @property {number} expirySeconds
 */

/**
 * @param {RoomRules} rules
 * @returns {Settings} as they are now
 */
export function settingsOf({ isLocked, slowModeSeconds, isNamedByHosts, expirySeconds }) {
  return { isLocked, slowModeSeconds, isNamedByHosts, expirySeconds }
}

/**
 * Merges the changes of two hosts: what this one has changed takes precedence over what is new.
 *
 * @param {Settings} shown before this host changed anything
 * @param {Settings} wanted by this host
 * @param {Settings} current after the change of the other host
 * @returns {Settings}
 */
export function mergeSettings(shown, wanted, current) {
  const changed = Object.entries(wanted).filter(
    ([name, value]) => value !== shown[/** @type {keyof Settings} */ (name)],
  )
  return { ...current, ...Object.fromEntries(changed) }
}

/**
 * The actions for the settings that a host has changed. What they left as it was shown needs none,
 * also if another host has changed it meanwhile.
 *
 * @param {Settings} shown
 * @param {Settings} wanted
 * @returns {Moderation[]}
 */
export function settingsChanges(shown, wanted) {
  /** @type {Moderation[]} */
  const changes = []
  if (wanted.isLocked !== shown.isLocked) {
    changes.push({ action: wanted.isLocked ? "lock" : "unlock" })
  }
  if (wanted.slowModeSeconds !== shown.slowModeSeconds) {
    changes.push({ action: "slow_mode", seconds: wanted.slowModeSeconds })
  }
  if (wanted.isNamedByHosts !== shown.isNamedByHosts) {
    changes.push({ action: "naming", by: wanted.isNamedByHosts ? "hosts" : "all" })
  }
  if (wanted.expirySeconds !== shown.expirySeconds) {
    changes.push({ action: "expiry", seconds: wanted.expirySeconds })
  }
  return changes
}

// Which actions make the rules of a room what a host has chosen.

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
 * @param {Pick<RoomRules, keyof Settings>} rules
 * @param {Settings} wanted
 * @returns {Moderation[]}
 */
export function settingsChanges(rules, wanted) {
  /** @type {Moderation[]} */
  const changes = []
  if (wanted.isLocked !== rules.isLocked) {
    changes.push({ action: wanted.isLocked ? "lock" : "unlock" })
  }
  if (wanted.slowModeSeconds !== rules.slowModeSeconds) {
    changes.push({ action: "slow_mode", seconds: wanted.slowModeSeconds })
  }
  if (wanted.isNamedByHosts !== rules.isNamedByHosts) {
    changes.push({ action: "naming", by: wanted.isNamedByHosts ? "hosts" : "all" })
  }
  if (wanted.expirySeconds !== rules.expirySeconds) {
    changes.push({ action: "expiry", seconds: wanted.expirySeconds })
  }
  return changes
}

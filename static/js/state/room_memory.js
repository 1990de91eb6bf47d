// Forgets what this browser has stored about one room, and tells its other tabs what was forgotten.

import { RecentRooms } from "./recent_rooms.js"

/** @import { Preferences } from "./preferences.js" */

const NAME_KEY = "name"
const FORGOTTEN_KEY = "forgotten"
const LEFT_KEY = "left"

/**
 * Forgets drafts, unsent messages, what was read, and all else that has the label of a room in its
 * key; also the entry in the list of rooms, and the name of the person.
 *
 * @param {string} label
 * @param {Preferences} preferences
 */
export function forgetRoom(label, preferences) {
  for (const key of preferences.keys("")) {
    const [, labelInKey] = key.split(":")
    if (labelInKey === label) preferences.remove(key)
  }
  preferences.remove(NAME_KEY)
  new RecentRooms(preferences).remove(label)
}

/**
 * Tells the other tabs that this person has left a room. They would store again what this tab has
 * forgotten.
 *
 * @param {string} label
 * @param {Preferences} preferences
 */
export function announceLeft(label, preferences) {
  announce(`${LEFT_KEY}:${label}`, preferences)
}

/**
 * @param {string} label
 * @param {Preferences} preferences
 * @param {() => void} listener is called when this person has left the room in another tab
 */
export function onLeftElsewhere(label, preferences, listener) {
  onAnnounced(`${LEFT_KEY}:${label}`, preferences, listener)
}

/**
 * Tells the other tabs that this browser has forgotten its person.
 *
 * @param {Preferences} preferences
 */
export function announceForgotten(preferences) {
  announce(FORGOTTEN_KEY, preferences)
}

/**
 * @param {Preferences} preferences
 * @param {() => void} listener is called when another tab has forgotten the person
 */
export function onForgottenElsewhere(preferences, listener) {
  onAnnounced(FORGOTTEN_KEY, preferences, listener)
}

/**
 * Call it after everything was removed: a full storage takes no other key.
 *
 * @param {string} key
 * @param {Preferences} preferences
 */
function announce(key, preferences) {
  preferences.set(key, true)
  preferences.remove(key)
}

/**
 * @param {string} key
 * @param {Preferences} preferences
 * @param {() => void} listener
 */
function onAnnounced(key, preferences, listener) {
  preferences.onChangedElsewhere(key, (isAnnounced) => {
    if (isAnnounced) listener()
  })
}

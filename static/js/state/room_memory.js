// Forgets what this browser has stored about one room.

import { RecentRooms } from "./recent_rooms.js"

/** @import { Preferences } from "./preferences.js" */

const NAME_KEY = "name"

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

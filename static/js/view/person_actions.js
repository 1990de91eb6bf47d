// What hosts and moderators can do to a person, after a question or with a way to undo it.

import { DelayedAction } from "../lib/delayed_action.js"
import { formatDuration } from "../lib/durations.js"
import { HOST, MODERATOR } from "../state/room_rules.js"
import { ask } from "./question.js"

/** @import { Clock } from "../lib/clock.js" */
/** @import { RoomRules } from "../state/room_rules.js" */
/** @import { Moderated, Moderation } from "../wire.js" */
/** @import { ListedPerson } from "./person_menu.js" */
/** @import { ShowToast } from "./toast.js" */
/**
 * Performs an action; resolves with the answer, or with null after showing why it was refused.
 *
 * @typedef {(moderation: Moderation) => Promise<Moderated | null>} Moderate
 */

const UNDO_MS = 5000
const UNDO = "Undo"
const SOMEBODY = "this person"

export class PersonActions {
  #rules
  #moderate
  #getServerTime
  #clock
  #showToast
  /** @type {DelayedAction | null} a deletion that can still be undone */
  #deletion = null
  /** @type {Record<string, (person: ListedPerson) => unknown>} by the name in `data-action` */
  all = {
    mute: (person) => this.#mute(person),
    unmute: ({ mark }) => this.#moderate({ action: "unmute", target: mark }),
    remove: (person) => this.#remove(person),
    appoint: ({ mark }) => this.#moderate({ action: "appoint", target: mark }),
    dismiss: ({ mark }) => this.#moderate({ action: "dismiss", target: mark }),
    "hand-over": (person) => this.#handOver(person),
    ban: (person) => this.#ban(person),
    "delete-all": (person) => this.#deleteAll(person),
  }

  /**
   * @param {object} dependencies
   * @param {RoomRules} dependencies.rules
   * @param {Moderate} dependencies.moderate
   * @param {() => number} dependencies.getServerTime
   * @param {Clock} dependencies.clock
   * @param {ShowToast} dependencies.showToast
   */
  constructor({ rules, moderate, getServerTime, clock, showToast }) {
    this.#rules = rules
    this.#moderate = moderate
    this.#getServerTime = getServerTime
    this.#clock = clock
    this.#showToast = showToast
    const deleteNow = () => this.#deletion?.runNow()
    addEventListener("pagehide", deleteNow)
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "hidden") deleteNow()
    })
  }

  /**
   * The names of the actions that this person may perform on somebody.
   *
   * @param {string} mark
   * @returns {string[]}
   */
  namesFor(mark) {
    if (!this.#rules.mayModerate(mark)) return []
    const isMuted = this.#rules.mutedUntil(mark, this.#getServerTime()) > 0
    const role = this.#rules.roleOf(mark)
    const sanctions = role === HOST ? ["ban"] : [isMuted ? "unmute" : "mute", "remove", "ban"]
    return [...sanctions, "delete-all", ...(this.#rules.isHost ? roleActions(role) : [])]
  }

  /** @param {ListedPerson} person */
  async #mute({ mark, name }) {
    const answer = await ask("mute", name || SOMEBODY)
    if (!answer) return
    const seconds = secondsIn(answer)
    const isDone = await this.#moderate({ action: "mute", target: mark, ...seconds })
    if (!isDone) return
    const duration = seconds.seconds === undefined ? "" : ` for ${formatDuration(seconds.seconds)}`
    this.#offerUndo(`You muted ${name || SOMEBODY}${duration}.`, () => {
      this.#moderate({ action: "unmute", target: mark })
    })
  }

  /** @param {ListedPerson} person */
  async #remove({ mark, name }) {
    const isDone = await this.#moderate({ action: "remove", target: mark })
    if (!isDone) return
    this.#offerUndo(`You removed ${name || SOMEBODY} for 10 minutes.`, () => {
      this.#moderate({ action: "readmit", target: mark })
    })
  }

  /** @param {ListedPerson} person */
  async #ban({ mark, name }) {
    const answer = await ask("ban", name || SOMEBODY)
    if (!answer) return
    const address = answer.has("address")
    const isDone = await this.#moderate({ action: "ban", target: mark, address })
    if (isDone) this.#showToast(`You banned ${name || SOMEBODY}.`)
  }

  /**
   * Deletes only when the time to undo it is over, or the page is left.
   *
   * @param {ListedPerson} person
   */
  async #deleteAll({ mark, name }) {
    const answer = await ask("delete-all", name || SOMEBODY)
    if (!answer) return
    this.#deletion?.runNow()
    const deleteNow = () => {
      hideUndo()
      this.#moderate({ action: "delete_all", target: mark, ...secondsIn(answer) })
    }
    const deletion = new DelayedAction(deleteNow, UNDO_MS, this.#clock)
    this.#deletion = deletion
    const text = `Deleting what ${name || SOMEBODY} wrote…`
    const hideUndo = this.#offerUndo(text, () => deletion.cancel())
  }

  /** @param {ListedPerson} person */
  async #handOver({ mark, name }) {
    const answer = await ask("hand-over", name || SOMEBODY)
    if (!answer) return
    const isDone = await this.#moderate({ action: "hand_over", target: mark })
    if (isDone) this.#showToast(`${name || "This person"} is the host now.`)
  }

  /**
   * @param {string} text
   * @param {() => void} run
   * @returns {() => void} hides the offer, if it is still shown
   */
  #offerUndo(text, run) {
    return this.#showToast(text, { text: UNDO, run, durationMs: UNDO_MS })
  }
}

/**
 * What a host can do with somebody's role.
 *
 * @param {string} role
 */
function roleActions(role) {
  if (role === HOST) return ["dismiss"]
  return [role === MODERATOR ? "dismiss" : "appoint", "hand-over"]
}

/**
 * @param {FormData} answer
 * @returns {{ seconds?: number }} nothing: without an end
 */
function secondsIn(answer) {
  const seconds = Number(answer.get("seconds"))
  return seconds === 0 ? {} : { seconds }
}

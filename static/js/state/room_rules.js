// The rules of the room and who is host or moderator, as far as this page has been told.

/** @import { Details, Role, Row, Rules } from "../wire.js" */

export const HOST = "host"
export const MODERATOR = "moderator"
const KIND = "moderation"
/** Actions that end a mute. */
const UNMUTING_ACTIONS = ["unmute", "use_host_link", "hand_over"]

/**
 * An action of a host or moderator.
 *
 * @typedef {object} Action
 * @property {number} seq of the message that announces it
 * @property {string} name of who performed it
 * @property {Details} details
 */

/** Whether a message announces what a host or moderator has done. */
export function isModeration(/** @type {Pick<Row, "kind">} */ { kind }) {
  return kind === KIND
}

/** Dispatches `change`. */
export class RoomRules extends EventTarget {
  /** @type {Rules} */
  #rules = { expiry_seconds: 0 }
  /** The change after which these rules applied. */
  #rev = -1
  #getOwnMark
  /** @type {Map<string, Action>} the last mute, or the end of one, by the mark of the person */
  #mutes = new Map()
  /** @type {Map<string, Action>} the last action of each kind on this person, or the room */
  #latest = new Map()

  /** @param {() => string} getOwnMark */
  constructor(getOwnMark) {
    super()
    this.#getOwnMark = getOwnMark
  }

  /** Whether only hosts can post. */
  get isLocked() {
    return this.#rules.locked === true
  }

  get isPrivate() {
    return this.#rules.private === true
  }

  get hasPassword() {
    return this.#rules.password === true
  }

  /** Whether only hosts can name the room. */
  get isNamedByHosts() {
    return this.#rules.naming === "hosts"
  }

  /** The pause between two messages of a person; 0 for none. */
  get slowModeSeconds() {
    return this.#rules.slow_mode_seconds ?? 0
  }

  /** How long messages are kept; 0 for ever. */
  get expirySeconds() {
    return this.#rules.expiry_seconds
  }

  /** The role of this person; "" if they have none. */
  get ownRole() {
    return this.roleOf(this.#getOwnMark())
  }

  get isHost() {
    return this.ownRole === HOST
  }

  get hasHost() {
    return Object.values(this.#rules.roles ?? {}).includes(HOST)
  }

  /**
   * Everybody with a role, hosts first.
   *
   * @returns {{ mark: string, role: Role }[]}
   */
  get officers() {
    const all = Object.entries(this.#rules.roles ?? {}).map(([mark, role]) => ({ mark, role }))
    return all.sort((a, b) => a.role.localeCompare(b.role))
  }

  /**
   * @param {string} mark
   * @returns {Role | ""}
   */
  roleOf(mark) {
    const { roles = {} } = this.#rules
    return Object.hasOwn(roles, mark) ? roles[mark] : ""
  }

  /**
   * Whether this person may delete the messages of somebody, mute or ban them.
   *
   * @param {string} mark
   */
  mayModerate(mark) {
    if (mark === "" || mark === this.#getOwnMark()) return false
    return this.isHost || (this.ownRole === MODERATOR && this.roleOf(mark) === "")
  }

  /**
   * Until when somebody is muted, in milliseconds since 1970: Infinity if it has no end, 0 if they
   * are not muted as far as this page knows.
   *
   * @param {string} mark
   * @param {number} now by the clock of the server
   */
  mutedUntil(mark, now) {
    const { details } = this.#mutes.get(mark) ?? {}
    if (details?.action !== "mute" || this.roleOf(mark) === HOST) return 0
    const until = details.until === undefined ? Infinity : Date.parse(details.until)
    return until > now ? until : 0
  }

  /**
   * The last action of a kind that concerned this person: on them, or on the room.
   *
   * @param {string} action
   * @returns {Action | undefined}
   */
  latest(action) {
    return this.#latest.get(action)
  }

  /**
   * Takes the rules of an answer of the server.
   *
   * @param {Rules | undefined} rules undefined: the server is older than they are
   * @param {number} rev the last change before the answer
   */
  apply(rules, rev) {
    if (!rules || rev < this.#rev) return
    this.#rev = rev
    if (JSON.stringify(rules) === JSON.stringify(this.#rules)) return
    this.#rules = rules
    this.dispatchEvent(new Event("change"))
  }

  /**
   * Learns from messages what hosts and moderators have done.
   *
   * @param {Row[]} rows in any order
   */
  learn(rows) {
    const actions = rows.filter((row) => isModeration(row) && row.details)
    if (actions.length === 0) return
    const { rev, details } = actions.reduce((a, b) => (b.rev > a.rev ? b : a))
    if (details?.rules) this.apply(details.rules, rev)
    let hasChanged = false
    for (const row of actions) hasChanged = this.#learnAction(row) || hasChanged
    if (hasChanged) this.dispatchEvent(new Event("change"))
  }

  /**
   * Learns from an answer of the server whether this person is muted. The message about the mute
   * may have expired, or not be loaded.
   *
   * @param {string | null | undefined} until null: without an end; undefined: not muted
   * @param {number} head the last change before the answer
   */
  learnOwnMute(until, head) {
    const mark = this.#getOwnMark()
    const known = this.#mutes.get(mark)
    if (known && known.seq > head) return
    const details = until === undefined ? { action: "unmute" } : muteDetails(until)
    const { action = "unmute", until: knownUntil } = known?.details ?? {}
    const isMuteKnown = (action === "mute") === (details.action === "mute")
    if (isMuteKnown && knownUntil === details.until) return
    this.#mutes.set(mark, { seq: head, name: "", details })
    this.dispatchEvent(new Event("change"))
  }

  /**
   * @param {Row} row
   * @returns {boolean} whether it is news
   */
  #learnAction({ seq, handle, details }) {
    const { action, target = "" } = /** @type {Details} */ (details)
    const learned = { seq, name: handle, details: /** @type {Details} */ (details) }
    const isMute = action === "mute" || UNMUTING_ACTIONS.includes(action)
    const isNewMute = isMute && setIfNewer(this.#mutes, target, learned)
    const concernsMe = target === "" || target === this.#getOwnMark()
    const isNews = concernsMe && setIfNewer(this.#latest, action, learned)
    return isNewMute || isNews
  }
}

/**
 * @param {Map<string, Action>} actions
 * @param {string} key
 * @param {Action} action
 * @returns {boolean} whether it is newer
 */
function setIfNewer(actions, key, action) {
  const known = actions.get(key)
  if (known && known.seq >= action.seq) return false
  actions.set(key, action)
  return true
}

/**
 * @param {string | null} until null: without an end
 * @returns {Details}
 */
function muteDetails(until) {
  return until === null ? { action: "mute" } : { action: "mute", until }
}

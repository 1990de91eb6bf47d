// The unsent text of a room. Each tab has its own, which survives a reload of that tab; that of a
// closed tab is taken over by the next tab that opens the room.

import { randomId } from "../lib/ids.js"
import { storagePrefix } from "../lib/site.js"
import { joinTexts } from "../lib/text.js"

/** @import { Clock } from "../lib/clock.js" */
/** @import { Preferences } from "./preferences.js" */

/**
 * What the text in the composer is for, when it is not simply the next message.
 *
 * @typedef {object} ComposerMode
 * @property {number} [edit] the seq of the message that is edited
 * @property {string} [text] the text of that message before the edit
 * @property {number} [reply_to] the seq of the message that is replied to
 * @property {string} words the sentence above the composer
 */

/**
 * The stored form of a draft; its keys must not change.
 *
 * @typedef {object} Draft
 * @property {string} text
 * @property {ComposerMode | null} [mode]
 * @property {string} [aside] the text that was in the composer before an edit began
 * @property {number} [at] when its tab was last known to be open, in milliseconds since 1970
 * @property {boolean} [left] its tab was closed or reloaded
 */

const SAVE_DELAY_MS = 300
/** A tab in the background can run a timer once a minute. */
const RENEWAL_MS = 60_000
/** A tab that has not renewed its draft for so long has crashed. */
const ABANDONED_AFTER_MS = 5 * 60_000
const TAB_KEY = "tab"
export const REPLYING_TO_DELETED = "Replying to a deleted message"

/**
 * Drafts are in localStorage, each under the id of its tab. The id is in sessionStorage only while
 * the tab is hidden or unloaded: the browser copies sessionStorage into a duplicate of a tab, which
 * must not have the same id. A hidden tab can be duplicated too; therefore each tab holds a lock
 * for its id, and the duplicate takes another one.
 *
 * Dispatches `taken` when another tab has taken over the draft of this one.
 */
export class Drafts extends EventTarget {
  #keyPrefix
  #legacyKey
  #storageKey
  #preferences
  #tabPreferences
  #tabId
  #clock
  #locks
  /** @type {(() => void) | null} */
  #releaseLock = null
  /** The text that was there when the page was loaded. */
  #firstText = ""
  /** @type {Draft | null} */
  #unsaved = null
  /** @type {Draft | null} what is stored under the id of this tab */
  #saved = null

  /**
   * @param {string} label
   * @param {object} dependencies
   * @param {Preferences} dependencies.preferences
   * @param {Preferences} dependencies.tabPreferences in sessionStorage
   * @param {Clock} dependencies.clock
   * @param {Pick<LockManager, "request">} [dependencies.locks] undefined over plain http
   */
  constructor(label, { preferences, tabPreferences, clock, locks }) {
    super()
    this.#legacyKey = `draft:${label}` // of earlier releases, for all tabs
    this.#keyPrefix = `${this.#legacyKey}:`
    this.#preferences = preferences
    this.#tabPreferences = tabPreferences
    this.#clock = clock
    this.#locks = locks
    const previousId = tabPreferences.get(TAB_KEY)
    const previousDraft = this.#readEntry(this.#keyPrefix + previousId)
    this.#tabId = previousDraft ? String(previousId) : randomId()
    tabPreferences.remove(TAB_KEY)
    this.#storageKey = this.#keyPrefix + this.#tabId
    this.#observeStorage()
    // The page that is being left in this tab may still hold the lock.
    this.#lockId({ ifAvailable: !previousDraft?.left })
    this.#scheduleRenewal()
  }

  /**
   * The draft of this tab, or else that of a closed one.
   *
   * @returns {Draft}
   */
  read() {
    const own = this.#readEntry(this.#storageKey)
    const draft = own && !isEmpty(own) ? own : this.#takeAbandoned()
    if (draft) this.#store(draft)
    this.#firstText = draft?.text ?? ""
    return { text: "", ...this.#saved }
  }

  /**
   * Saves a draft after a short delay, so that typing does not write at every key.
   *
   * @param {Draft} draft
   */
  saveSoon(draft) {
    if (!this.#unsaved) this.#clock.schedule(SAVE_DELAY_MS, () => this.saveNow())
    this.#unsaved = draft
  }

  /** Saves the draft that waits to be saved, if there is one. */
  saveNow() {
    if (!this.#unsaved) return
    this.#store(this.#unsaved)
    this.#unsaved = null
  }

  /** The tab is hidden: the browser may end it without notice, and load it again later. */
  suspend() {
    this.saveNow()
    this.#tabPreferences.set(TAB_KEY, this.#tabId)
  }

  /** The page is unloaded: if the tab is closed, another one may have the draft. */
  leave() {
    this.suspend()
    if (this.#saved) this.#preferences.set(this.#storageKey, { ...this.#saved, left: true })
    this.#releaseLock?.() // a page that holds a lock is not kept in the cache of the browser
    this.#releaseLock = null
  }

  /** The tab is visible again. */
  resume() {
    this.#tabPreferences.remove(TAB_KEY)
    if (!this.#releaseLock) this.#lockId({ ifAvailable: true })
    if (!this.#saved) return
    if (this.#readEntry(this.#storageKey)) this.#store(this.#saved)
    else this.#handleTaken()
  }

  /**
   * Removes the texts of deleted messages from all drafts of the room.
   *
   * A draft that becomes empty keeps its entry: a tab whose entry is removed takes its draft for
   * taken over, and would drop what has been typed in it since the draft was saved.
   *
   * @param {Pick<Set<number>, "has">} seqs
   */
  forgetMessages(seqs) {
    for (const key of this.#allKeys()) {
      const draft = this.#readEntry(key)
      if (!draft) continue
      const changed = withoutMessages(draft, seqs)
      if (changed !== draft) this.#preferences.set(key, changed)
    }
  }

  /**
   * The latest draft of a closed tab, which is removed, as empty ones are.
   *
   * @returns {Draft | null}
   */
  #takeAbandoned() {
    const abandoned = this.#abandonedDrafts()
    const latest = abandoned.filter(({ draft }) => !isEmpty(draft)).at(-1)
    for (const { key, draft } of abandoned) {
      if (isEmpty(draft) || key === latest?.key) this.#preferences.remove(key)
    }
    return latest?.draft ?? null
  }

  /** The drafts of closed tabs with their keys, the latest last. */
  #abandonedDrafts() {
    const drafts = this.#allKeys().flatMap((key) => {
      const draft = this.#readEntry(key)
      return draft && this.#isAbandoned(draft) ? [{ key, draft }] : []
    })
    return drafts.sort((a, b) => (a.draft.at ?? 0) - (b.draft.at ?? 0))
  }

  /** @param {Draft} draft */
  #isAbandoned({ at = 0, left = false }) {
    return left || at < this.#clock.now() - ABANDONED_AFTER_MS
  }

  #allKeys() {
    return [this.#legacyKey, ...this.#preferences.keys(this.#keyPrefix)]
  }

  /**
   * @param {string} key
   * @returns {Draft | null}
   */
  #readEntry(key) {
    const draft = this.#preferences.get(key)
    return typeof draft?.text === "string" ? draft : null
  }

  /** @param {Draft} draft */
  #store({ text, mode = null, aside = "" }) {
    if (isEmpty({ text, mode, aside })) {
      this.#saved = null
      this.#preferences.remove(this.#storageKey)
      return
    }
    this.#saved = { text, mode, aside, at: this.#clock.now() }
    this.#preferences.set(this.#storageKey, this.#saved)
  }

  #observeStorage() {
    const key = this.#storageKey
    this.#preferences.onChangedElsewhere(key, (draft) => {
      if (key === this.#storageKey) this.#handleChangeElsewhere(draft)
    })
  }

  /** @param {Draft | null} draft what another tab has stored under the id of this one */
  #handleChangeElsewhere(draft) {
    if (draft === null) {
      this.#handleTaken()
    } else if (draft.at === this.#saved?.at) {
      this.#saved = draft // without the text of a deleted message
    } else if (!this.#locks && (draft.at ?? 0) > (this.#saved?.at ?? 0)) {
      // Another tab has the same id: without locks it has not been given a new one.
      this.#changeId()
      if (this.#saved) this.#store(this.#saved)
    }
  }

  /**
   * Holds the lock for the id of this tab until the page is left.
   *
   * @param {{ ifAvailable: boolean }} options
   */
  #lockId(options) {
    if (!this.#locks) return
    const released = new Promise((resolve) => {
      this.#releaseLock = () => resolve(undefined)
    })
    const work = (/** @type {Lock | null} */ lock) => (lock ? released : this.#takeNewId())
    // Where locks are refused, tabs are told apart as over plain http.
    this.#locks.request(`${storagePrefix}${this.#storageKey}`, options, work).catch(() => {
      this.#locks = undefined
    })
  }

  /** Another tab has the same id: it keeps the draft, and what was typed here stays here. */
  #takeNewId() {
    const { text = "" } = this.#unsaved ?? this.#saved ?? {}
    this.#changeId()
    this.#lockId({ ifAvailable: true })
    if (text === this.#firstText) this.#handleTaken()
    else this.#store(this.#unsaved ?? this.#saved ?? { text })
  }

  #changeId() {
    this.#tabId = randomId()
    this.#storageKey = this.#keyPrefix + this.#tabId
    const isSuspended = this.#tabPreferences.get(TAB_KEY) !== null
    if (isSuspended) this.#tabPreferences.set(TAB_KEY, this.#tabId)
    this.#observeStorage()
  }

  #scheduleRenewal() {
    this.#clock.schedule(RENEWAL_MS, () => {
      if (this.#saved && this.#readEntry(this.#storageKey)) this.#store(this.#saved)
      this.#scheduleRenewal()
    })
  }

  #handleTaken() {
    if (!this.#saved) return
    this.#saved = null
    this.#unsaved = null
    this.dispatchEvent(new Event("taken"))
  }
}

/** @param {Draft} draft */
function isEmpty({ text, mode, aside = "" }) {
  return text === "" && !mode && aside === ""
}

/**
 * A draft without the texts of deleted messages.
 *
 * @param {Draft} draft
 * @param {Pick<Set<number>, "has">} seqs
 * @returns {Draft}
 */
function withoutMessages(draft, seqs) {
  const { reply_to = 0, edit = 0, text: originalText } = draft.mode ?? {}
  if (seqs.has(reply_to)) return { ...draft, mode: { reply_to, words: REPLYING_TO_DELETED } }
  if (!seqs.has(edit)) return draft
  const { text, aside = "" } = draft
  const changedText = text === originalText ? "" : text
  return { ...draft, text: joinTexts(changedText, aside), mode: null, aside: "" }
}

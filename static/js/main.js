// Entry point of the room page: creates what is needed to read and send messages, and connects it.
// Everything else is in secondary.js, which is loaded while the connection is being opened.

import { clock } from "./lib/clock.js"
import { randomId } from "./lib/ids.js"
import {
  LOCKED_TEXT,
  audienceText,
  muteText,
  refusalText,
  slowModeText,
} from "./lib/moderation_text.js"
import { mentionsName } from "./lib/mentions.js"
import { ServerClock } from "./lib/server_clock.js"
import { storagePrefix } from "./lib/site.js"
import { formatCount, isBlank } from "./lib/text.js"
import { postHostSecret, takeHostSecret } from "./net/host_link.js"
import { createRoom } from "./net/room_creation.js"
import { RoomSession } from "./net/room_session.js"
import { connect } from "./net/socket.js"
import { Drafts } from "./state/drafts.js"
import { IgnoredPeople } from "./state/ignored_people.js"
import { electWithLease, electWithLock } from "./state/leader_election.js"
import { Outbox } from "./state/outbox.js"
import { OutboxStore } from "./state/outbox_store.js"
import { People } from "./state/people.js"
import { OWN_HUE, PersonHues } from "./state/person_hues.js"
import { Preferences } from "./state/preferences.js"
import { RoomRules, isModeration } from "./state/room_rules.js"
import { Timeline } from "./state/timeline.js"
import { Unread } from "./state/unread.js"
import { Announcer } from "./view/announcer.js"
import { BrowserTab } from "./view/browser_tab.js"
import { Composer } from "./view/composer.js"
import { ConnectionStatus } from "./view/connection_status.js"
import { byId, cloneTemplate, setText } from "./view/dom.js"
import { recordEvents } from "./view/event_replay.js"
import { MessageList } from "./view/message_list.js"
import { drawFaces, toggleWrap, unfold } from "./view/message_parts.js"
import { Navigation } from "./view/navigation.js"
import { rememberPosition, savedPosition } from "./view/scroll_memory.js"
import { Scroller } from "./view/scroller.js"
import { SendCountdown } from "./view/send_countdown.js"
import { createToast } from "./view/toast.js"
import { UnreadBar } from "./view/unread_bar.js"

/** @import { Secondary } from "./secondary.js" */
/** @import { TimelineUpdate } from "./state/timeline.js" */
/** @import { Submission } from "./view/composer.js" */
/** @import { Joined, Presence, Row, You } from "./wire.js" */

const TOKEN_KEY = "token"
const LOAD_RETRY_DELAY_MS = 3000
/** How long the tab in which a refused change was made has to show it. */
const OTHER_TAB_DELAY_MS = 1000
const MAX_PRESENT_FACES = 3
const MAX_MISSED_COUNT = 10_000 // the server counts no further
/** @type {Record<string, string>} what a host has done, by the code of the refusal */
const ACTIONS_BY_REFUSAL = { banned: "ban", removed: "remove", closed: "close" }
const PRIVATE_NOTE =
  "Only people with the link can find this private room, and link previews show nothing of it."
/** What secondary.js handles. */
const EVENTS_TO_REPLAY = {
  click: ".header button, .welcome button",
  keydown: ".log, body:not(:focus-within)",
}

// Before the visit nothing may be stored, and no draft be taken from another tab.
await untilVisited()

/** @type {Joined} the answer to `join` at the time when the server created the page */
const page = JSON.parse(byId("page").textContent ?? "")
byId("page").remove() // a message that is deleted later must not stay there
const { label } = page
const preferences = new Preferences()
const tabPreferences = new Preferences(() => sessionStorage)
const ignoredPeople = new IgnoredPeople(label, preferences)
const transports = (byId("room").dataset.transports ?? "").split(" ")
const socket = connect(transports, () => preferences.get(TOKEN_KEY), clock)
const serverClock = new ServerClock(clock)
const timeline = new Timeline(
  () => scroller.isAtEnd,
  (row) => isIgnored(row),
)
const session = new RoomSession({
  label,
  mark: page.you.mark,
  socket,
  timeline,
  createOutbox: (send) => {
    const store = new OutboxStore(label)
    const getServerTime = () => serverClock.now()
    return new Outbox({ send, elect: createElection(), clock, getServerTime, store })
  },
  clock,
})
const { outbox } = session
const rules = new RoomRules(() => session.mark)
const people = new People()
const hues = new PersonHues(label, { preferences, getOwnMark: () => session.mark })
const list = new MessageList(byId("messages"), cloneTemplate, {
  getMark: () => session.mark,
  ignores: isIgnored,
  getOriginal: (seq) => timeline.rowAt(seq),
  isMentionedIn: (text) => mentionsName(text, composer.name),
  isFirstLoaded: () => !timeline.hasOlder,
  faceOf,
  roleOf: (mark) => rules.roleOf(mark),
})
const scroller = new Scroller(byId("log"), byId("latest"), () => !timeline.hasNewer)
const drafts = new Drafts(label, {
  preferences,
  tabPreferences,
  clock,
  locks: navigator.locks,
})
const composer = new Composer(/** @type {HTMLFormElement} */ (byId("composer")), {
  preferences,
  drafts,
  hasTouchKeyboard: matchMedia("(hover: none) and (pointer: coarse)").matches,
  getLastOwnRow: () => timeline.rows.findLast((row) => isOwn(row) && isPosted(row)),
})
const connectionStatus = new ConnectionStatus(byId("connection"), {
  clock,
  outbox,
  retryNow: () => socket.retryNow(),
  rejoin: () => session.rejoin(),
})
const announcer = new Announcer(byId("announcements"), clock)
const sendCountdown = new SendCountdown(byId("send-countdown"), {
  clock,
  outbox,
  announce: (text) => announcer.announce(text),
  isConnected: () => session.state === "joined",
})
const showToast = createToast(byId("toast"), byId("log"))
const navigation = new Navigation({
  loader: session,
  timeline,
  list,
  scroller,
  earlierButton: byId("earlier"),
  showError: showToast,
})
const icon = /** @type {HTMLLinkElement} */ (document.querySelector("link[rel=icon]"))
const browserTab = new BrowserTab(icon)
const unread = new Unread({
  label,
  preferences,
  clock,
  isReading: () => isPageWatched() && scroller.isAtEnd,
  isDividerVisible: () => isPageWatched() && isUnreadDividerVisible(),
  isMention: (row) => isAddressedToMe(row),
  isSkipped: (row) => isOwn(row) || !isPosted(row),
  isIgnored: (mark) => ignoredPeople.has(mark),
})
const { isFirstVisit } = unread
/** The secret of a host link that is not used yet. */
let hostSecret = takeHostSecret()
let slowModeSeconds = 0
let cancelMuteTimer = () => {}
const unreadBar = new UnreadBar(byId("unread-bar"), {
  clock,
  goToFirst() {
    const { position } = unread
    if (position) navigation.goToMessage(position.after + 1, { isExact: false })
  },
  dismiss() {
    unread.dismiss()
    byId("log").focus({ preventScroll: true })
  },
})

// Helpers

function createElection() {
  if (navigator.locks) return electWithLock(`${storagePrefix}outbox:${label}`, navigator.locks)
  return electWithLease(label, { clock, getStorage: () => localStorage, tabId: randomId() })
}

/** @param {Row} row */
function isOwn(row) {
  return row.mark === session.mark
}

/**
 * Whether this person has chosen not to see a row. What a host does concerns everybody.
 *
 * @param {Row} row
 */
function isIgnored(row) {
  return ignoredPeople.has(row.mark) && !isModeration(row)
}

/**
 * Whether a row is a message that somebody has posted, and not a deleted or a system message.
 *
 * @param {Row} row
 */
function isPosted(row) {
  return !row.deleted && !row.kind
}

/**
 * The messages of other people, without those whom this person ignores.
 *
 * @param {Row[]} rows
 */
function fromOthers(rows) {
  return rows.filter((row) => !isOwn(row) && isPosted(row) && !ignoredPeople.has(row.mark))
}

/**
 * Whether a message mentions this person or replies to them.
 *
 * @param {Row} row
 */
function isAddressedToMe(row) {
  const original = row.reply_to ? timeline.rowAt(row.reply_to) : undefined
  const isReplyToMe = original !== undefined && isOwn(original)
  return isReplyToMe || mentionsName(row.message, composer.name)
}

function isUnreadDividerVisible() {
  const { unreadDividerElement } = list
  return unreadDividerElement !== null && scroller.isVisible(unreadDividerElement)
}

/**
 * @param {string} mark
 * @param {string} [name] the latest known name by default
 */
function faceOf(mark, name = people.nameOf(mark)) {
  return { hue: hues.hueOf(mark), name }
}

function isPageWatched() {
  return document.visibilityState === "visible" && document.hasFocus()
}

function getTitle() {
  return timeline.name || label
}

// Messages

function redraw() {
  hues.learn(timeline.rows)
  scroller.preservePosition(() => list.reset(timeline))
}

/** @param {TimelineUpdate[]} updates */
function draw(updates) {
  scroller.preservePosition(() => list.draw(updates))
  navigation.fillScreen()
}

/**
 * The texts of deleted messages must not stay anywhere in the browser.
 *
 * @param {number[]} seqs
 */
function forgetDeleted(seqs) {
  for (const seq of seqs) {
    announcer.forget(seq)
    unread.forget(seq)
    composer.forgetMessage(seq)
  }
  drafts.forgetMessages(new Set(seqs))
}

/**
 * Messages up to a number have expired or were cleared.
 *
 * @param {number} floor
 */
function forgetExpired(floor) {
  composer.forgetUpTo(floor)
  drafts.forgetMessages({ has: (seq) => seq > 0 && seq <= floor })
  unread.forgetUpTo(floor)
  updateEarlierButton()
  updateReading()
}

/** @param {Row[]} rows */
function handleArrived(rows) {
  for (const { timestamp } of rows) serverClock.observe(timestamp)
  const others = fromOthers(rows)
  people.learnNames(rows)
  rules.learn(rows)
  announcer.announceMessages(others)
  announceModeration(rows)
  unread.addArrived(others, timeline.lastSeq)
  scroller.addNew(others.length)
  updateReading()
}

/**
 * What others have done as hosts is read out. What this person has done is confirmed already.
 *
 * @param {Row[]} rows
 */
function announceModeration(rows) {
  for (const row of rows) {
    if (isModeration(row) && !isOwn(row)) announcer.announce(row.message)
  }
}

function handleAbsence() {
  if (!timeline.absence) return
  const { after, missed } = timeline.absence
  const isExact = missed < MAX_MISSED_COUNT
  const count = isExact ? formatCount(missed, "message") : `${missed.toLocaleString()}+ messages`
  unread.addMissed({ after, missed, messages: [] }, timeline.rows)
  countUnread()
  announcer.announce(`${count} while you were away`)
}

function updateEarlierButton() {
  const button = byId("earlier")
  const isHidden = !timeline.hasOlder
  if (isHidden && button === document.activeElement) byId("log").focus({ preventScroll: true })
  button.hidden = isHidden
}

timeline.addEventListener("reset", () => {
  unread.startOver(timeline)
  if (!timeline.hasNewer) people.learnNames(timeline.rows)
  rules.learn(timeline.rows)
  redraw()
  updateAfterLoading()
})
timeline.addEventListener("change", (event) => {
  draw(/** @type {CustomEvent<TimelineUpdate[]>} */ (event).detail)
  updateAfterLoading()
})
timeline.addEventListener("deleted", (event) => {
  forgetDeleted(/** @type {CustomEvent<number[]>} */ (event).detail)
})
timeline.addEventListener("floor", (event) => {
  forgetExpired(/** @type {CustomEvent<number>} */ (event).detail)
})
timeline.addEventListener("arrived", (event) => {
  handleArrived(/** @type {CustomEvent<Row[]>} */ (event).detail)
})
timeline.addEventListener("absence", handleAbsence)
timeline.addEventListener("title", () => browserTab.setTitle(getTitle()))
rules.addEventListener("change", () => {
  list.updateBadges()
  updateComposerNotice()
  updateAudience()
  if (rules.slowModeSeconds < slowModeSeconds) outbox.endWait()
  slowModeSeconds = rules.slowModeSeconds
})
ignoredPeople.addEventListener("change", () => {
  redraw()
  unread.updateIgnored()
  updateReading()
  navigation.fillScreen()
})

// Unread messages

function updateReading() {
  unread.updateReading()
  updateUnreadBar()
}

/** The bar is shown while the first unread message is above the visible part. */
function updateUnreadBar() {
  const isAbove = unread.position !== null && isAboveScreen(unread.position.after)
  unreadBar.show(isAbove ? unread.summary : null)
}

/** @param {number} after the seq of the message above the unread divider */
function isAboveScreen(after) {
  const { unreadDividerElement } = list
  if (unreadDividerElement) return scroller.isAbove(unreadDividerElement)
  return timeline.hasOlder && (timeline.rows[0]?.seq ?? 0) > after
}

/** The invitation stays until somebody else has arrived. */
function updateWelcome() {
  const welcome = byId("welcome")
  if (welcome.hidden) return
  const isOther = (/** @type {{ mark: string }} */ { mark }) => mark !== "" && mark !== session.mark
  welcome.hidden = timeline.hasOlder || timeline.rows.some(isOther) || people.present.some(isOther)
}

/**
 * Those who have not seen the invitation are informed too, until they dismiss it or send something.
 */
function informNewcomer() {
  if (!byId("welcome").hidden) return
  const notice = byId("newcomer")
  const dismiss = () => {
    notice.dataset.state = "hidden"
  }
  notice.dataset.state = "shown"
  updateAudience()
  composer.addEventListener("send", dismiss, { once: true })
  notice.querySelector("button")?.addEventListener("click", () => {
    dismiss()
    byId("log").focus({ preventScroll: true })
  })
}

/** Who can read and post, in the notice for newcomers. */
function updateAudience() {
  const notice = byId("newcomer")
  if (notice.dataset.state !== "shown") return
  const sentences = [rules.isPrivate ? PRIVATE_NOTE : "", audienceText(rules)]
  setText(notice, ".newcomer__audience", sentences.filter((text) => text !== "").join(" "))
}

function updateAfterLoading() {
  updateWelcome()
  updateEarlierButton()
  if (unread.isIncomplete) unread.learn(timeline.rows, timeline)
  updateReading()
}

/** Asks the server how many messages are unread, if more are than the page contains. */
async function countUnread() {
  const { position } = unread
  if (!position || !unread.needsCount) return
  const answer = await session.countMissed(position.after)
  if (answer) unread.addCount(position, answer, timeline.rows)
}

unread.addEventListener("divider", () => {
  scroller.preservePosition(() => list.setUnreadDivider(unread.divider))
  updateUnreadBar()
})
unread.addEventListener("summary", updateUnreadBar)
unread.addEventListener("count", () => browserTab.setUnreadCount(unread.count))
scroller.addEventListener("moved", updateReading)
addEventListener("focus", updateReading)
addEventListener("blur", updateReading)
document.addEventListener("visibilitychange", updateReading)
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible") drafts.resume()
  else drafts.suspend()
})
addEventListener("pageshow", () => drafts.resume())
addEventListener("pagehide", () => {
  unread.close()
  drafts.leave()
})

// The connection

session.addEventListener("state", () => {
  byId("room").dataset.joined = String(session.state === "joined")
  if (session.refusalCode !== "") handleClosedRoom()
  connectionStatus.showState(session.state, closingText(), session.rejoinAt)
  sendCountdown.update()
  updateComposerNotice()
})
/** The server asks for the password, or answers a host link, with another page. */
function handleClosedRoom() {
  const { refusalCode } = session
  const isRefusedPerson = ["banned", "removed", "password_required"].includes(refusalCode)
  if (hostSecret !== "" && isRefusedPerson) submitHostSecret()
  else if (refusalCode === "password_required") location.reload()
}

/** Why the room is closed or the connection refused; who has done it, if that is known. */
function closingText() {
  const { refusalCode, refusalReason, rejoinAt } = session
  const action = ACTIONS_BY_REFUSAL[refusalCode]
  const host = action ? rules.latest(action)?.name : undefined
  return refusalText(refusalCode, { message: refusalReason, host, rejoinAt })
}

session.addEventListener("identity", (event) => {
  const { mark, token } = /** @type {CustomEvent<You>} */ (event).detail
  if (token) preferences.set(TOKEN_KEY, token)
  if (mark !== page.you.mark) redraw()
  page.you.mark = mark
})
session.addEventListener("joined", (event) => {
  const { detail } = /** @type {CustomEvent<Joined>} */ (event)
  people.reset(detail)
  rules.apply(detail.rules, detail.head)
  rules.learnOwnMute(detail.you.muted_until, detail.head)
  const { targetSeq } = composer
  const isTargetLoaded = targetSeq === 0 || timeline.rowAt(targetSeq) !== undefined
  if (!isTargetLoaded) session.loadQuote(targetSeq) // it may have been deleted meanwhile
})
session.untilJoined().then(() => {
  countUnread()
  navigation.fillScreen()
  if (isFirstVisit) informNewcomer()
})
socket.addEventListener("disconnected", () => people.disconnect())
socket.on("presence", (/** @type {Presence} */ presence) => {
  if (presence.label === label) people.applyPresence(presence)
})
people.addEventListener("change", () => {
  const button = byId("people-button")
  const count = /** @type {HTMLElement} */ (button.querySelector(".people-button__count"))
  count.textContent = people.count > 0 ? String(people.count) : ""
  button.ariaLabel = people.summary
  updateWelcome()
  drawPresentFaces()
  list.learnNames(people.present)
})

/** The first people in the room, other ones before this person. */
function drawPresentFaces() {
  const faces = people.present.map(({ mark, name }) => faceOf(mark, name))
  const named = faces.filter(({ name }) => name !== "")
  const others = named.filter(({ hue }) => hue !== OWN_HUE)
  const own = named.filter(({ hue }) => hue === OWN_HUE)
  const container = /** @type {HTMLElement} */ (document.querySelector(".people-button__faces"))
  drawFaces(container, [...others, ...own].slice(0, MAX_PRESENT_FACES), cloneTemplate)
}

// The composer

/** Shows why this person cannot post, or only slowly. */
function updateComposerNotice() {
  cancelMuteTimer()
  const now = serverClock.now()
  const mutedUntil = rules.mutedUntil(session.mark, now)
  if (Number.isFinite(mutedUntil) && mutedUntil > 0) {
    cancelMuteTimer = clock.schedule(mutedUntil - now, updateComposerNotice)
  }
  const obstacle = obstacleToPosting(mutedUntil, now)
  const isSlow = rules.slowModeSeconds > 0 && rules.ownRole === ""
  composer.block(session.state === "closed" ? closingText() : obstacle)
  composer.showNotice(obstacle || (isSlow ? slowModeText(rules.slowModeSeconds) : ""))
}

/**
 * @param {number} mutedUntil
 * @param {number} now
 */
function obstacleToPosting(mutedUntil, now) {
  if (mutedUntil > 0) return muteText(rules.latest("mute")?.name ?? "", mutedUntil, now)
  return rules.isLocked && !rules.isHost ? LOCKED_TEXT : ""
}

/**
 * @param {Submission} submission
 * @returns {boolean} false when the text has to stay in the composer
 */
function submit({ handle, messages, edit, reply_to }) {
  if (edit) return submitEdit(edit, messages[0])
  const items = messages.map((message) => ({ handle, message }))
  const [first, ...rest] = items
  if (!outbox.enqueueAll([{ ...first, reply_to }, ...rest])) return false
  navigation.goToLatest()
  return true
}

/**
 * @param {number} seq
 * @param {string} message an empty one asks whether to delete the message
 */
function submitEdit(seq, message) {
  if (isBlank(message)) {
    secondary.then(({ actions }) => actions.delete({ seq }))
    return true
  }
  const isUnchanged = timeline.rowAt(seq)?.message === message
  return isUnchanged || outbox.enqueue({ event: "edit", seq, message }) !== null
}

/**
 * Shows refused changes in the visible tab where they were made. Where that tab is hidden,
 * closed or was reloaded, a visible one shows them after a delay.
 */
function handleRefusedChanges() {
  if (document.visibilityState !== "visible") return
  for (const { id, event } of outbox.failedItems) {
    if (!event) continue // a message: the list shows why it was refused
    if (outbox.wasQueuedHere(id)) showRefusedChange(id)
    else clock.schedule(OTHER_TAB_DELAY_MS * (1 + clock.random()), () => showRefusedChange(id))
  }
}

/**
 * Gives back the text of a refused edit, or shows why another change was refused, unless another
 * tab has done it.
 *
 * @param {string} id
 */
function showRefusedChange(id) {
  const refused = outbox.failedItems.find((item) => item.id === id)
  if (!refused || !outbox.isStored(id) || document.visibilityState !== "visible") return
  outbox.discard(id)
  const { event, message, reason = "" } = refused
  if (event === "edit") composer.returnText(message, reason)
  else showToast(reason)
}

/**
 * Sends what was refused because the name is taken under the name that the server has suggested.
 *
 * @param {string} id of one of these messages
 */
function useSuggestedName(id) {
  const { handle, suggestion = "" } = outbox.failedItems.find((item) => item.id === id) ?? {}
  if (handle === undefined) return
  composer.name = suggestion
  outbox.retryAs(handle, suggestion)
}

composer.addEventListener("send", (event) => {
  const { detail } = /** @type {CustomEvent<Submission>} */ (event)
  if (!submit(detail)) event.preventDefault()
})
composer.addEventListener("command", (event) => {
  const { detail } = /** @type {CustomEvent<{ command: string, argument: string }>} */ (event)
  secondary.then(({ commands }) => commands[detail.command](detail.argument))
})
composer.addEventListener("namechange", () => {
  document.documentElement.toggleAttribute("data-named", !isBlank(composer.name))
  list.updateMentions()
})
composer.addEventListener("modechange", () => list.setTarget(composer.targetSeq))
list.setTarget(composer.targetSeq)
for (const type of ["change", "removed", "sent"]) {
  outbox.addEventListener(type, () => {
    connectionStatus.updateCount()
    sendCountdown.update()
  })
}
outbox.addEventListener("change", handleRefusedChanges)
document.addEventListener("visibilitychange", handleRefusedChanges)

// Clicks

/**
 * @type {Record<string, (button: HTMLElement, id: string) => void>} by the name in `data-action`
 */
const clickActions = {
  retry: (_, id) => outbox.retry(id),
  "use-name": (_, id) => useSuggestedName(id),
  discard: (_, id) => outbox.discard(id),
  edit: (_, id) => composer.restoreText(outbox.discard(id)?.message ?? ""),
  unfold: (button) => {
    const message = /** @type {HTMLElement} */ (button.closest(".message"))
    scroller.preservePosition(() => unfold(message))
    message.focus({ preventScroll: true }) // the button is hidden now
  },
  "wrap-code": (button) => scroller.preservePosition(() => toggleWrap(button)),
  "copy-code": (button) => {
    const code = button.closest(".code")?.querySelector("code")?.textContent ?? ""
    const message = /** @type {HTMLElement} */ (button.closest(".message"))
    secondary.then(({ copy }) => copy(code, "Code copied", Number(message.dataset.seq)))
  },
  expand: (button) => scroller.preservePosition(() => list.toggleCollapsed(button)),
  menu: (button) => secondary.then(({ menu }) => menu.open(button)),
  react: (button) => secondary.then(({ menu }) => menu.run(button, "react", button.dataset.emoji)),
  original: (link) => navigation.goToHash(link.getAttribute("href") ?? ""),
}

byId("messages").addEventListener("click", (event) => {
  const target = /** @type {Element} */ (event.target)
  const button = /** @type {HTMLElement | null} */ (target.closest("[data-action]"))
  if (!button) return
  event.preventDefault()
  const message = /** @type {HTMLElement | null} */ (button.closest(".message"))
  clickActions[button.dataset.action ?? ""](button, message?.dataset.id ?? "")
})
byId("latest").addEventListener("click", () => navigation.goToLatest())

// Host links

/** Somebody may open a host link of the room that is open already. */
addEventListener("hashchange", () => {
  hostSecret = takeHostSecret() || hostSecret
  if (hostSecret !== "") useHostLink()
})

async function useHostLink() {
  if (session.refusalCode !== "") handleClosedRoom()
  await session.untilJoined()
  if (hostSecret === "") return
  const secret = hostSecret
  hostSecret = ""
  const { becomeHostWith } = await secondary
  becomeHostWith(secret)
}

function submitHostSecret() {
  const form = document.body.appendChild(document.createElement("form"))
  const field = /** @type {HTMLInputElement} */ (document.querySelector("[name=csrf]"))
  postHostSecret(label, hostSecret, { form, csrf: field.value })
  hostSecret = ""
}

// Start

/**
 * Connects to the room. A page that the browser has rendered ahead of the visit may show a room
 * that does not exist yet.
 */
async function openSocket() {
  if ("missing" in byId("room").dataset) await createRoom(location.pathname, { clock })
  socket.open()
}

/** Waits while the browser renders the page ahead of the visit. */
async function untilVisited() {
  if (!("prerendering" in document && document.prerendering)) return
  await new Promise((resolve) => {
    document.addEventListener("prerenderingchange", resolve, { once: true })
  })
}

/** Returns to the position when the page was left, or goes to the linked message. */
function restorePosition() {
  const position = savedPosition()
  const isLoaded = position && (position.seq === 0 || timeline.rowAt(position.seq) !== undefined)
  if (isLoaded) navigation.restore(position)
  else session.untilJoined().then(() => goToStart(position))
  rememberPosition(scroller, clock)
}

/** @param {ReturnType<typeof savedPosition>} position */
function goToStart(position) {
  if (position) navigation.restore(position)
  else navigation.goToHash(location.hash)
}

/** When the server's answer came, by the clock of this computer. */
function pageReceivedAt() {
  const [timing] = /** @type {PerformanceNavigationTiming[]} */ (
    performance.getEntriesByType("navigation")
  )
  return performance.timeOrigin + timing.responseStart
}

/** @returns {Promise<Secondary>} */
async function loadSecondary() {
  const { startSecondary } = await importSecondary()
  return startSecondary({
    label,
    preferences,
    tabPreferences,
    socket,
    session,
    timeline,
    people,
    ignoredPeople,
    rules,
    composer,
    navigation,
    unread,
    showToast,
    preservePosition: (change) => scroller.preservePosition(change),
    getTitle,
    faceOf,
    serverClock,
    isOwn,
    isAddressedToMe,
    fromOthers,
    isPageWatched,
  })
}

/**
 * Tries again when the connection is lost while the module is loaded.
 *
 * @returns {Promise<typeof import("./secondary.js")>}
 */
async function importSecondary() {
  try {
    return await import("./secondary.js")
  } catch {
    await new Promise((resolve) => {
      clock.schedule(LOAD_RETRY_DELAY_MS, () => resolve(null))
    })
    return importSecondary()
  }
}

serverClock.observe(byId("room").dataset.time ?? "", pageReceivedAt())
browserTab.setTitle(page.name || label)
rules.apply(page.rules, page.head)
timeline.load(page)
rules.learnOwnMute(page.you.muted_until, page.head)
unread.open(timeline.rows, timeline)
outbox.restore()
connectionStatus.showState(session.state)
openSocket()
/** Exported for tests, which wait for it. */
export const secondary = loadSecondary()
restorePosition()
if (hostSecret !== "") useHostLink()
const replayEvents = recordEvents(EVENTS_TO_REPLAY)
secondary.then(replayEvents)

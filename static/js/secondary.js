// The second part of the room page: menus, dialogs, names, notifications and keyboard shortcuts. It
// is loaded after the first part, because reading and sending messages does not need it.

import { clock } from "./lib/clock.js"
import { keptText } from "./lib/durations.js"
import { Refused } from "./lib/errors.js"
import { audienceText } from "./lib/moderation_text.js"
import { withoutSuggestion } from "./lib/names.js"
import { basePath } from "./lib/site.js"
import { isBlank, truncate } from "./lib/text.js"
import { deleteCookie } from "./net/forgetting.js"
import { eraseAll, loadSummary } from "./net/own_data.js"
import { sendReport } from "./net/reporting.js"
import { hostLink } from "./net/host_link.js"
import { detectWake } from "./net/wake_detection.js"
import { RecentRooms } from "./state/recent_rooms.js"
import { Copying } from "./view/clipboard.js"
import { Completion } from "./view/completion.js"
import { openDialog, setUpDialogs } from "./view/dialogs.js"
import { byId, cloneTemplate, hasLostFocus, setText } from "./view/dom.js"
import { setUpFileRefusal } from "./view/file_refusal.js"
import { setUpForgetDialog } from "./view/forget_dialog.js"
import { setUpKeyboardShortcuts } from "./view/keyboard_shortcuts.js"
import { MessageFocus } from "./view/message_focus.js"
import { MessageMenu } from "./view/message_menu.js"
import { previewText } from "./view/message_parts.js"
import { MessageTap } from "./view/message_tap.js"
import { setUpNotificationSettings } from "./view/notification_settings.js"
import { Notifications } from "./view/notifications.js"
import { setUpOwnDataDialogs } from "./view/own_data_dialogs.js"
import { PeoplePanel } from "./view/people_panel.js"
import { PersonActions } from "./view/person_actions.js"
import { ReportDialog } from "./view/report_dialog.js"
import { RoomSettings } from "./view/room_settings.js"
import { showRoomState } from "./view/room_state.js"
import { RoomTitle } from "./view/room_title.js"
import { setUpCopyButton, setUpShareButton } from "./view/share.js"
import { setUpThemeChoice } from "./view/theme.js"
import { TypingIndicator } from "./view/typing_indicator.js"
import { fitToVirtualKeyboard } from "./view/virtual_keyboard.js"

/** @import { ServerClock } from "./lib/server_clock.js" */
/** @import { RoomSession } from "./net/room_session.js" */
/** @import { Socket } from "./net/socket.js" */
/** @import { IgnoredPeople } from "./state/ignored_people.js" */
/** @import { People } from "./state/people.js" */
/** @import { Preferences } from "./state/preferences.js" */
/** @import { RoomRules } from "./state/room_rules.js" */
/** @import { Timeline } from "./state/timeline.js" */
/** @import { Unread } from "./state/unread.js" */
/** @import { Composer } from "./view/composer.js" */
/** @import { Face } from "./view/message_parts.js" */
/** @import { Navigation } from "./view/navigation.js" */
/** @import { ShowToast } from "./view/toast.js" */
/** @import { Moderate } from "./view/person_actions.js" */
/** @import { Moderation, Outgoing, Row } from "./wire.js" */

/**
 * What main.js has created.
 *
 * @typedef {object} RoomPage
 * @property {string} label
 * @property {Preferences} preferences
 * @property {Preferences} tabPreferences
 * @property {Socket} socket
 * @property {RoomSession} session
 * @property {Timeline} timeline
 * @property {People} people
 * @property {IgnoredPeople} ignoredPeople
 * @property {RoomRules} rules
 * @property {Composer} composer
 * @property {Navigation} navigation
 * @property {Unread} unread
 * @property {ShowToast} showToast
 * @property {(change: () => void) => void} preservePosition makes a change that moves messages
 * @property {ServerClock} serverClock
 * @property {() => string} getTitle the name of the room, or its label
 * @property {(mark: string, name?: string) => Face} faceOf
 * @property {(row: Row) => boolean} isOwn
 * @property {(row: Row) => boolean} isAddressedToMe
 * @property {(rows: Row[]) => Row[]} fromOthers
 * @property {() => boolean} isPageWatched
 */

/**
 * @typedef {Record<string, (row: Pick<Row, "seq"> & Partial<Row>, emoji?: string) => void>} Actions
 */
/** @typedef {Record<string, (argument: string) => unknown>} Commands */

/**
 * What main.js uses of the second part.
 *
 * @typedef {object} Secondary
 * @property {MessageMenu} menu
 * @property {Actions} actions by the name in `data-action`
 * @property {Commands} commands by name
 * @property {(secret: string) => void} becomeHostWith uses the secret of a host link
 * @property {(text: string, confirmation: string, seq: number) => void} copy copies a text of a
 *   message and confirms it
 */

const OUTBOX_FULL = "Too many changes are waiting to be sent. Please try again later."
const NO_CONNECTION = "That didn't work: there is no connection. Please try again."
const IS_HOST = "You are a host of this room now."
const MAX_CONFIRMED_CHARACTERS = 500

/**
 * @param {RoomPage} page
 * @returns {Secondary}
 */
export function startSecondary(page) {
  const moderate = createModerate(page)
  const panel = createPeoplePanel(page, moderate)
  const copying = new Copying(/** @type {HTMLDialogElement} */ (byId("copy")), page.showToast)
  const reportDialog = createReportDialog(page)
  const actions = createActions(page, { copying, reportDialog, panel })
  const messageFocus = new MessageFocus(byId("log"), {
    goToLatest: () => page.navigation.goToLatest(),
  })
  const menu = new MessageMenu(/** @type {HTMLDialogElement} */ (byId("menu")), {
    log: byId("log"),
    getRow: (seq) => page.timeline.rowAt(seq),
    isOwn: page.isOwn,
    mayModerate: (mark) => page.rules.mayModerate(mark),
    reactorsOf: (row) => reactorsOf(page, row),
    actions,
  })
  new MessageTap(byId("room"), page.preservePosition)
  checkConnectionAfterSleep(page)
  showRoomTitle(page)
  const notifications = notifyAboutMessages(page)
  forgetDeletedMessages(page.timeline, { menu, notifications, copying, reportDialog })
  showTyping(page)
  announceNameChanges(page)
  suggestNames(page)
  setUpFileRefusal(document, {
    insertText: (text) => page.composer.insert(text),
    showToast: page.showToast,
  })
  setUpDialogs()
  setUpForgetting(page)
  setUpOwnData(page)
  setUpShortcuts(page, messageFocus)
  setUpThemeChoice(byId("theme"), page.preferences)
  fitToVirtualKeyboard(byId("room"), visualViewport)
  setUpLinks(page, copying)
  setUpHosting(page, { moderate, copying })
  return {
    menu,
    actions,
    becomeHostWith: (secret) => becomeHost(page, moderate, { action: "use_host_link", secret }),
    commands: createCommands(page, panel),
    copy: (text, confirmation, seq) => copying.copy(text, confirmation, seq),
  }
}

/** @param {string} label */
function roomUrl(label) {
  return new URL(`${basePath}/${label}/`, location.href).href
}

/** @param {RoomPage} page */
function checkConnectionAfterSleep({ socket, session }) {
  detectWake(
    { clock },
    {
      onVisible: () => socket.retryNow(),
      onWake: () => session.checkConnection(),
    },
  )
}

/**
 * Performs actions of this person as host or moderator, and shows why one was refused.
 *
 * @param {RoomPage} page
 * @returns {Moderate}
 */
function createModerate({ session, showToast }) {
  return async (moderation) => {
    try {
      return await session.moderate(moderation)
    } catch (error) {
      showToast(describeError(error))
      return null
    }
  }
}

/** @param {unknown} error of a request */
function describeError(error) {
  return error instanceof Refused ? error.message : NO_CONNECTION
}

/**
 * @param {RoomPage} page
 * @param {Moderate} moderate
 */
function createPeoplePanel(page, moderate) {
  const personActions = new PersonActions({
    rules: page.rules,
    moderate,
    getServerTime: () => page.serverClock.now(),
    clock,
    showToast: page.showToast,
  })
  const { people, ignoredPeople, rules, preferences, session, composer, faceOf } = page
  return new PeoplePanel(/** @type {HTMLDialogElement} */ (byId("people")), {
    button: byId("people-button"),
    menu: /** @type {HTMLDialogElement} */ (byId("person-menu")),
    people,
    ignoredPeople,
    rules,
    preferences,
    getOwnMark: () => session.mark,
    faceOf,
    cloneTemplate,
    mention: (name) => composer.insert(`@${name} `),
    toggleIgnored: (mark, name) => toggleIgnored(page, mark, name),
    hostActions: personActions.all,
    hostActionsFor: (mark) => personActions.namesFor(mark),
  })
}

/**
 * What only hosts see, and how somebody becomes one.
 *
 * @param {RoomPage} page
 * @param {{ moderate: Moderate, copying: Copying }} tools
 */
function setUpHosting(page, { moderate, copying }) {
  const { rules, session, people, showToast } = page
  const showHostLink = () => createHostLink(page, moderate)
  const settings = new RoomSettings(/** @type {HTMLDialogElement} */ (byId("settings")), {
    rules,
    getOwnMark: () => session.mark,
    nameOf: (mark) => people.nameOf(mark),
    moderate: (moderation) => session.moderate(moderation),
    describeError,
    showToast,
    showHostLink,
    cloneTemplate,
  })
  byId("open-settings").addEventListener("click", () => settings.open())
  byId("become-host").addEventListener("click", () => {
    becomeHost(page, moderate, { action: "become_host" })
  })
  document.querySelector("[data-host-link]")?.addEventListener("click", showHostLink)
  document.querySelector("[data-copy-host-link]")?.addEventListener("click", () => {
    copying.copy(hostLinkField().value, "Host link copied")
  })
  byId("host-link").addEventListener("close", () => (hostLinkField().value = ""))
  keepFocusWhilePressed(byId("welcome"))
  const update = () => updateHosting(page)
  rules.addEventListener("change", update)
  clock.schedule(claimMs(), update)
  update()
}

/**
 * Buttons do not take the focus from a field when they are pressed. The field for the name is
 * smaller without it: the button would move away before the finger is lifted.
 *
 * @param {HTMLElement} container
 */
function keepFocusWhilePressed(container) {
  container.addEventListener("pointerdown", (event) => {
    const target = /** @type {Element} */ (event.target)
    if (target.closest("button")) event.preventDefault()
  })
}

/** For how long the room can get a host by "Become host", in milliseconds. */
function claimMs() {
  return Number(byId("room").dataset.claimSeconds) * 1000
}

const loadedAt = clock.now()

/** @param {RoomPage} page */
function updateHosting({ rules }) {
  const { isHost, hasHost, isNamedByHosts, ownRole } = rules
  const hadFocus = byId("welcome").contains(document.activeElement)
  const isClaimable = !hasHost && clock.now() - loadedAt < claimMs()
  byId("open-settings").hidden = !isHost
  byId("open-people").hidden = ownRole === ""
  byId("welcome-host").hidden = !isHost
  byId("welcome-claim").hidden = !isClaimable
  const rename = /** @type {HTMLElement} */ (byId("title").querySelector("button"))
  rename.classList.toggle("header__rename--forbidden", isNamedByHosts && !isHost)
  showInAll(".audience-note", audienceText(rules))
  showInAll(".kept-note", keptText(rules.expirySeconds))
  showRoomState(rules, { icons: byId("room-states"), list: byId("room-rules") })
  if (hadFocus && hasLostFocus()) byId("log").focus({ preventScroll: true })
}

/**
 * @param {string} selector
 * @param {string} text
 */
function showInAll(selector, text) {
  for (const element of document.querySelectorAll(selector)) {
    if (element.textContent !== text) element.textContent = text
  }
}

function hostLinkField() {
  return /** @type {HTMLTextAreaElement} */ (byId("host-link").querySelector("textarea"))
}

/**
 * Creates a host link and shows it, once.
 *
 * @param {RoomPage} page
 * @param {Moderate} moderate
 */
async function createHostLink({ label }, moderate) {
  const answer = await moderate({ action: "host_link" })
  if (!answer?.secret) return
  hostLinkField().value = hostLink(roomUrl(label), answer.secret)
  openDialog("host-link")
}

/**
 * @param {RoomPage} page
 * @param {Moderate} moderate
 * @param {Moderation} moderation
 */
async function becomeHost(page, moderate, moderation) {
  await announceFirstName(page)
  if (await moderate(moderation)) page.showToast(IS_HOST)
}

/**
 * Lets the room know the name of this person if nobody has seen it here yet, so that what is
 * announced about them names them. A name that is refused is left out.
 *
 * @param {RoomPage} page
 */
async function announceFirstName({ composer, people, session }) {
  const { name } = composer
  if (isBlank(name) || people.nameOf(session.mark) !== "") return
  await refusalOf(session.rename(name))
}

/**
 * Ignores somebody, which can be undone, or stops ignoring them.
 *
 * @param {RoomPage} page
 * @param {string} mark
 * @param {string} name
 */
function toggleIgnored({ ignoredPeople, showToast }, mark, name) {
  ignoredPeople.toggle(mark, name)
  if (!ignoredPeople.has(mark)) return
  showToast(`You no longer see messages from ${name || "this person"}.`, {
    text: "Undo",
    run() {
      if (ignoredPeople.has(mark)) ignoredPeople.toggle(mark, name)
    },
  })
}

/** @param {RoomPage} page */
function showRoomTitle(page) {
  const { label, session, composer, timeline, preferences, unread, getTitle, showToast } = page
  const roomTitle = new RoomTitle(byId("title"), {
    label,
    save: (name) => session.setTitle(name, composer.name),
    showError: showToast,
  })
  const recentRooms = new RecentRooms(preferences)
  timeline.addEventListener("title", () => {
    roomTitle.show(getTitle())
    recentRooms.rename(label, timeline.name)
  })
  roomTitle.show(getTitle())
  recentRooms.add({ label, name: timeline.name, at: clock.now(), unread: unread.count })
  unread.addEventListener("count", () => recentRooms.setUnread(label, unread.count))
}

/** @param {RoomPage} page */
function notifyAboutMessages(page) {
  const { label, preferences, serverClock, getTitle, timeline } = page
  const notifications = new Notifications({
    label,
    preferences,
    clock,
    serverClock,
    getTitle,
    isAddressedToMe: page.isAddressedToMe,
    isWatched: page.isPageWatched,
    getReadSeq: () => page.unread.readSeq,
  })
  timeline.addEventListener("arrived", (event) => {
    const rows = /** @type {CustomEvent<Row[]>} */ (event).detail
    notifications.notify(page.fromOthers(rows))
  })
  const dialog = /** @type {HTMLDialogElement} */ (byId("notifications"))
  setUpNotificationSettings(byId("bell"), dialog, notifications)
  return notifications
}

/**
 * The texts of deleted messages must not stay anywhere in the browser.
 *
 * @param {Timeline} timeline
 * @param {object} views
 * @param {MessageMenu} views.menu
 * @param {Notifications} views.notifications
 * @param {Copying} views.copying
 * @param {ReportDialog} views.reportDialog
 */
function forgetDeletedMessages(timeline, { menu, notifications, copying, reportDialog }) {
  timeline.addEventListener("deleted", (event) => {
    for (const seq of /** @type {CustomEvent<number[]>} */ (event).detail) {
      menu.forget(seq)
      notifications.forget(seq)
      forgetDeletion(seq)
      copying.forget(seq)
      reportDialog.forget(seq)
    }
  })
}

/** @param {RoomPage} page */
function showTyping({ label, socket, session, timeline, people, ignoredPeople, composer }) {
  const indicator = new TypingIndicator(byId("typing"), clock)
  socket.on("typing", ({ label: roomLabel, mark, handle }) => {
    const isShown = roomLabel === label && mark !== session.mark && !ignoredPeople.has(mark)
    if (isShown) indicator.show({ mark, handle })
  })
  timeline.addEventListener("arrived", (event) => {
    const rows = /** @type {CustomEvent<Row[]>} */ (event).detail
    for (const { mark } of rows) indicator.hide(mark)
  })
  composer.addEventListener("typing", () => {
    const { name, field } = composer
    const text = field.value
    const isMessage = !isBlank(text) && !text.startsWith("/")
    if (isBlank(name) || !isMessage) return
    if (indicator.shouldSend(people.count)) socket.send("typing", { handle: name })
  })
}

/**
 * Announces another name in the room, and suggests a free one where it is taken.
 *
 * @param {RoomPage} page
 */
function announceNameChanges({ session, people, composer }) {
  const suggest = (/** @type {string} */ text, /** @type {string} */ freeName) => {
    composer.showHint(text, {
      text: `Use "${freeName}"`,
      run: () => {
        composer.name = freeName
      },
    })
  }
  composer.addEventListener("namechange", async () => {
    const { name } = composer
    const freeName = people.alternativeName(name, session.mark, composer.nameField.maxLength)
    const previousName = people.nameOf(session.mark)
    if (freeName !== "") {
      suggest(`The name "${name}" is taken in this room.`, freeName)
    } else if (previousName !== "" && !isBlank(name) && previousName !== name) {
      const { message, suggestion } = (await refusalOf(session.rename(name))) ?? {}
      const isCurrent = composer.name === name
      if (message && suggestion && isCurrent) {
        suggest(withoutSuggestion(message, suggestion), suggestion)
      }
    }
  })
}

/**
 * Why a request was refused; null if it was not. One that failed otherwise does not matter: the
 * next message contains the name too.
 *
 * @param {Promise<unknown>} request
 */
async function refusalOf(request) {
  try {
    await request
    return null
  } catch (error) {
    return error instanceof Refused ? error : null
  }
}

/** @param {RoomPage} page */
function suggestNames({ composer, people, session }) {
  new Completion(byId("completion"), {
    composer,
    suggest: (prefix) => people.suggest(prefix, session.mark),
    cloneTemplate,
  })
}

/**
 * @param {RoomPage} page
 * @param {{ copying: Copying, reportDialog: ReportDialog, panel: PeoplePanel }} views
 * @returns {Actions}
 */
function createActions(page, { copying, reportDialog, panel }) {
  const { label, session, timeline, people, composer, showToast } = page
  const enqueue = (/** @type {Outgoing} */ change) => {
    if (!session.outbox.enqueue(change)) showToast(OUTBOX_FULL)
  }
  return {
    react({ seq, reactions = {} }, emoji = "") {
      const on = !reactions[emoji]?.includes(session.mark)
      enqueue({ event: "react", seq, emoji, on, mark: session.mark })
    },
    reply({ seq, handle, message = "" }) {
      composer.reply(seq, `Replying to ${handle}: ${previewText({ message })}`)
    },
    mention({ mark = "", handle = "" }) {
      composer.insert(`@${people.nameOf(mark) || handle} `)
    },
    edit: ({ seq, message = "" }) => composer.edit(seq, message),
    copy: ({ seq, message = "" }) => copying.copy(message, "Text copied", seq),
    link: ({ seq }) => copying.copy(`${roomUrl(label)}#m-${seq}`, "Link copied"),
    delete(row) {
      const { seq, message = "", handle = "", mark = "" } = timeline.rowAt(row.seq) ?? row
      const author = mark === session.mark ? "" : handle || "somebody else"
      confirmDeletion({ seq, message, author }, () => {
        enqueue({ event: "delete", seq, mark: session.mark })
      })
    },
    ignore: ({ mark = "", handle = "" }) => toggleIgnored(page, mark, handle),
    report: (row) => reportDialog.open(row),
    moderate({ seq, mark = "", handle = "" }) {
      const body = byId(`m-${seq}`).querySelector(".message__body")
      const person = { mark, name: people.nameOf(mark) || handle }
      panel.openMenu(person, /** @type {HTMLElement} */ (body))
    },
  }
}

/**
 * @param {{ seq: number, message: string, author: string }} deleted `author`: "" for an own message
 * @param {() => void} onConfirm
 */
function confirmDeletion({ seq, message, author }, onConfirm) {
  const dialog = /** @type {HTMLDialogElement} */ (byId("delete"))
  const [own, other] = ["own", "other"].map((part) => {
    return /** @type {HTMLElement} */ (dialog.querySelector(`.delete__${part}`))
  })
  own.hidden = author !== ""
  other.hidden = author === ""
  setText(dialog, ".delete__author", author)
  setText(dialog, ".dialog__message", truncate(message, MAX_CONFIRMED_CHARACTERS))
  dialog.dataset.seq = String(seq)
  dialog.returnValue = ""
  const handleClose = () => {
    setText(dialog, ".dialog__message", "")
    if (dialog.returnValue) onConfirm()
  }
  dialog.addEventListener("close", handleClose, { once: true })
  openDialog("delete")
}

/**
 * The message of the question has been deleted in another way.
 *
 * @param {number} seq
 */
function forgetDeletion(seq) {
  const dialog = /** @type {HTMLDialogElement} */ (byId("delete"))
  if (dialog.open && dialog.dataset.seq === String(seq)) dialog.close()
}

/**
 * @param {RoomPage} page
 * @param {PeoplePanel} panel
 * @returns {Commands}
 */
function createCommands({ composer }, panel) {
  return {
    nick(name) {
      if (isBlank(name)) composer.nameField.focus()
      else composer.name = truncate(name, composer.nameField.maxLength)
    },
    help: () => openDialog("shortcuts"),
    who: () => panel.show(),
    leave: () => location.assign(`${basePath}/`),
  }
}

/**
 * The names of those who have reacted to a message, by emoji.
 *
 * @param {RoomPage} page
 * @param {Row} row
 */
function reactorsOf({ session, people }, { reactions = {} }) {
  const nameOf = (/** @type {string} */ mark) => {
    return mark === session.mark ? "You" : people.nameOf(mark) || "Somebody"
  }
  return Object.entries(reactions).map(([emoji, marks]) => ({ emoji, names: marks.map(nameOf) }))
}

/** @param {RoomPage} page */
function setUpForgetting({ preferences, tabPreferences, showToast }) {
  setUpForgetDialog(/** @type {HTMLDialogElement} */ (byId("forget")), {
    deleteCookie,
    preferences,
    tabPreferences,
    showError: showToast,
  })
}

/** @param {RoomPage} page */
function setUpOwnData({ label, preferences }) {
  setUpOwnDataDialogs({
    label,
    preferences,
    loadSummary: () => loadSummary(`${basePath}/${label}/your-data`),
    eraseAll: (url, fields, onProgress) => eraseAll(url, fields, { clock, onProgress }),
  })
}

/** @param {RoomPage} page */
function createReportDialog({ showToast }) {
  const dialog = /** @type {HTMLDialogElement} */ (byId("report"))
  const reportDialog = new ReportDialog(dialog, { send: sendReport, showToast })
  const button = document.querySelector("[data-report-room]")
  button?.addEventListener("click", () => reportDialog.open())
  return reportDialog
}

/**
 * @param {RoomPage} page
 * @param {MessageFocus} messageFocus
 */
function setUpShortcuts({ composer, unread }, messageFocus) {
  const firstButtonOf = (/** @type {HTMLElement} */ element) => {
    return element.querySelector("button") ?? element
  }
  setUpKeyboardShortcuts({
    getRegions() {
      const regions = [firstButtonOf(byId("title")), messageFocus.entry, composer.field]
      const panel = byId("people")
      return panel.matches("[open]") ? [...regions, firstButtonOf(panel)] : regions
    },
    textField: composer.field,
    cancel() {
      const wasActive = composer.cancel()
      if (!wasActive) unread.dismiss()
    },
    showHelp: () => openDialog("shortcuts"),
  })
}

/**
 * @param {RoomPage} page
 * @param {Copying} copying
 */
function setUpLinks({ label, getTitle }, copying) {
  const url = roomUrl(label)
  for (const element of document.querySelectorAll("[data-link]")) element.textContent = url
  const copyButtons = /** @type {NodeListOf<HTMLElement>} */ (
    document.querySelectorAll("[data-copy-link]")
  )
  for (const button of copyButtons) {
    setUpCopyButton(button, url, copying)
  }
  setUpShareButton(byId("share"), () => ({ title: getTitle(), url }))
}

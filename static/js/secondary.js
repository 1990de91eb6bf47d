// The second part of the room page: menus, dialogs, names, notifications and keyboard shortcuts. It
// is loaded after the first part, because reading and sending messages does not need it.

import { clock } from "./lib/clock.js"
import { truncate } from "./lib/text.js"
import { deleteCookie } from "./net/forgetting.js"
import { detectWake } from "./net/wake_detection.js"
import { RecentRooms } from "./state/recent_rooms.js"
import { Copying } from "./view/clipboard.js"
import { Completion } from "./view/completion.js"
import { openDialog, setUpDialogs } from "./view/dialogs.js"
import { byId, cloneTemplate, setText } from "./view/dom.js"
import { setUpFileRefusal } from "./view/file_refusal.js"
import { setUpForgetDialog } from "./view/forget_dialog.js"
import { setUpKeyboardShortcuts } from "./view/keyboard_shortcuts.js"
import { MessageFocus } from "./view/message_focus.js"
import { MessageMenu } from "./view/message_menu.js"
import { previewText } from "./view/message_parts.js"
import { MessageTap } from "./view/message_tap.js"
import { setUpNotificationSettings } from "./view/notification_settings.js"
import { Notifications } from "./view/notifications.js"
import { PeoplePanel } from "./view/people_panel.js"
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
/** @import { Timeline } from "./state/timeline.js" */
/** @import { Unread } from "./state/unread.js" */
/** @import { Composer } from "./view/composer.js" */
/** @import { Face } from "./view/message_parts.js" */
/** @import { Navigation } from "./view/navigation.js" */
/** @import { ShowToast } from "./view/toast.js" */
/** @import { Outgoing, Row } from "./wire.js" */

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
 * @property {(text: string, confirmation: string, seq: number) => void} copy copies a text of a
 *   message and confirms it
 */

const OUTBOX_FULL = "Too many changes are waiting to be sent. Please try again later."
const MAX_CONFIRMED_CHARACTERS = 500

/**
 * @param {RoomPage} page
 * @returns {Secondary}
 */
export function startSecondary(page) {
  const panel = createPeoplePanel(page)
  const copying = new Copying(/** @type {HTMLDialogElement} */ (byId("copy")), page.showToast)
  const actions = createActions(page, copying)
  const messageFocus = new MessageFocus(byId("log"), {
    goToLatest: () => page.navigation.goToLatest(),
  })
  const menu = new MessageMenu(/** @type {HTMLDialogElement} */ (byId("menu")), {
    log: byId("log"),
    getRow: (seq) => page.timeline.rowAt(seq),
    isOwn: page.isOwn,
    reactorsOf: (row) => reactorsOf(page, row),
    actions,
  })
  new MessageTap(byId("room"), page.preservePosition)
  detectWake(
    { clock },
    {
      onVisible: () => page.socket.retryNow(),
      onWake: () => page.session.checkConnection(),
    },
  )
  showRoomTitle(page)
  const notifications = notifyAboutMessages(page)
  forgetDeletedMessages(page.timeline, { menu, notifications, copying })
  showTyping(page)
  announceNameChanges(page)
  suggestNames(page)
  setUpFileRefusal(document, {
    insertText: (text) => page.composer.insert(text),
    showToast: page.showToast,
  })
  setUpDialogs()
  setUpForgetting(page)
  setUpShortcuts(page, messageFocus)
  setUpThemeChoice(byId("theme"), page.preferences)
  fitToVirtualKeyboard(byId("room"), visualViewport)
  setUpLinks(page, copying)
  return {
    menu,
    actions,
    commands: createCommands(page, panel),
    copy: (text, confirmation, seq) => copying.copy(text, confirmation, seq),
  }
}

/** @param {string} label */
function roomUrl(label) {
  return new URL(`/${label}/`, location.href).href
}

/** @param {RoomPage} page */
function createPeoplePanel(page) {
  const { people, ignoredPeople, preferences, session, composer, faceOf } = page
  return new PeoplePanel(/** @type {HTMLDialogElement} */ (byId("people")), {
    button: byId("people-button"),
    menu: /** @type {HTMLDialogElement} */ (byId("person-menu")),
    people,
    ignoredPeople,
    preferences,
    getOwnMark: () => session.mark,
    faceOf,
    cloneTemplate,
    mention: (name) => composer.insert(`@${name} `),
    toggleIgnored: (mark, name) => toggleIgnored(page, mark, name),
  })
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
 * @param {{ menu: MessageMenu, notifications: Notifications, copying: Copying }} views
 */
function forgetDeletedMessages(timeline, { menu, notifications, copying }) {
  timeline.addEventListener("deleted", (event) => {
    for (const seq of /** @type {CustomEvent<number[]>} */ (event).detail) {
      menu.forget(seq)
      notifications.forget(seq)
      forgetDeletion(seq)
      copying.forget(seq)
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
    const isMessage = text.trim() !== "" && !text.startsWith("/")
    if (name.trim() === "" || !isMessage) return
    if (indicator.shouldSend(people.count)) socket.send("typing", { handle: name })
  })
}

/**
 * Announces another name in the room, and suggests a free one where it is taken.
 *
 * @param {RoomPage} page
 */
function announceNameChanges({ session, people, composer }) {
  composer.addEventListener("namechange", () => {
    const { name } = composer
    const previousName = people.nameOf(session.mark)
    if (previousName !== "" && name.trim() !== "" && previousName !== name) {
      session.rename(name).catch(() => {}) // the next message contains the name too
    }
    const freeName = people.alternativeName(name, session.mark, composer.nameField.maxLength)
    if (freeName === "") return
    composer.showHint(
      `Someone here is already called ${name}. A short code next to each name tells you apart.`,
      {
        text: `Use "${freeName}"`,
        run: () => {
          composer.name = freeName
        },
      },
    )
  })
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
 * @param {Copying} copying
 * @returns {Actions}
 */
function createActions(page, copying) {
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
      confirmDeletion(row.seq, row.message ?? timeline.rowAt(row.seq)?.message ?? "", () => {
        enqueue({ event: "delete", seq: row.seq })
      })
    },
    ignore: ({ mark = "", handle = "" }) => toggleIgnored(page, mark, handle),
  }
}

/**
 * @param {number} seq
 * @param {string} message what will be deleted
 * @param {() => void} onConfirm
 */
function confirmDeletion(seq, message, onConfirm) {
  const dialog = /** @type {HTMLDialogElement} */ (byId("delete"))
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
      if (name === "") composer.nameField.focus()
      else composer.name = truncate(name, composer.nameField.maxLength)
    },
    help: () => openDialog("shortcuts"),
    who: () => panel.show(),
    leave: () => location.assign("/"),
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

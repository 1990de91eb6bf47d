// Where the room page is put together; everything else is handed what it needs.

import { Announcer } from "./announcer.js"
import { Attention } from "./attention.js"
import { ringBell } from "./bell.js"
import { BrowserTab } from "./browser_tab.js"
import { clock } from "./clock.js"
import { Completion } from "./completion.js"
import { Composer } from "./composer.js"
import { Connection } from "./connection.js"
import { copy, copyLink } from "./copy_link.js"
import { listenToDialogs, openDialog } from "./dialogs.js"
import { Drafts } from "./drafts.js"
import { firstLine } from "./extras.js"
import { newId } from "./ids.js"
import { Ignored } from "./ignored.js"
import { mindKeyboard } from "./keyboard.js"
import { listenToKeys } from "./keys.js"
import { leaseLead, lockLead } from "./leader.js"
import { mentions } from "./mentions.js"
import { MessageList } from "./message_list.js"
import { MessageMenu } from "./message_menu.js"
import { noticeIn } from "./notice.js"
import { Notices } from "./notices.js"
import { Outbox } from "./outbox.js"
import { OutboxStore } from "./outbox_store.js"
import { People } from "./people.js"
import { keepPlace, keptPlace } from "./place.js"
import { RecentRooms } from "./recent_rooms.js"
import { Room } from "./room.js"
import { Scroll } from "./scroll.js"
import { shareNatively } from "./share.js"
import { dial } from "./socket.js"
import { Storage } from "./storage.js"
import { chooseTheme } from "./theme.js"
import { Timeline } from "./timeline.js"
import { Title } from "./title.js"
import { Travel } from "./travel.js"
import { Typing } from "./typing.js"
import { onWaking } from "./waking.js"

/** @import { Reader } from "./message_list.js" */
/** @import { Step } from "./timeline.js" */
/** @import { PeoplePanel } from "./people_panel.js" */
/** @import { Away, Joined, Presence, Row, Wish, You } from "./wire.js" */

const TOKEN_KEY = "token"
const COUNTED = 10_000 // the server counts no further

const find = (/** @type {string} */ id) => /** @type {HTMLElement} */ (document.getElementById(id))
const template = (/** @type {string} */ name) => {
  const { content } = /** @type {HTMLTemplateElement} */ (find(`${name}-template`))
  return /** @type {HTMLElement} */ (document.importNode(content, true).firstElementChild)
}

/** @type {Joined} */
const page = JSON.parse(find("page").textContent ?? "")
const { label } = page
const storage = new Storage()
const socket = dial((find("room").dataset.transports ?? "").split(" "), () => storage.get(TOKEN_KEY))
const timeline = new Timeline(() => scroll.atEnd)
const leading = `confab:outbox:${label}`
const lead = navigator.locks ? lockLead(leading, navigator.locks) : leaseLead(leading, { clock, area: () => localStorage, me: newId() })
const room = new Room({
  label,
  mark: page.you.mark,
  socket,
  timeline,
  outbox: (send) => new Outbox({ send, lead, clock, store: new OutboxStore(label) }),
  clock,
})
const mine = (/** @type {Row} */ row) => row.mark === room.mark
const ignored = new Ignored(label, storage)
const people = new People()
/** @type {Reader} */
const reader = {
  mark: () => room.mark,
  hides: (mark) => ignored.has(mark),
  original: (seq) => timeline.at(seq),
  names: (text) => mentions(text, composer.name),
}
const list = new MessageList(find("messages"), template, reader)
const scroll = new Scroll(find("log"), find("newer"), () => !timeline.newer)
const touch = matchMedia("(hover: none) and (pointer: coarse)").matches
const last = () => timeline.rows.findLast((row) => mine(row) && !row.deleted && !row.kind)
const form = /** @type {HTMLFormElement} */ (find("composer"))
const composer = new Composer(form, { storage, drafts: new Drafts(label, { storage, clock }), touch, last })
const typing = new Typing(find("typing"), clock)
const connection = new Connection(find("connection"), { clock, outbox: room.outbox, tryNow: () => socket.tryNow() })
const announcer = new Announcer(find("announcements"), clock)
const notice = noticeIn(find("notice"))
const travel = new Travel({ room, timeline, list, scroll, earlier: find("earlier"), tell: notice })
const title = () => timeline.name || label
const tab = new BrowserTab(/** @type {HTMLLinkElement} */ (document.querySelector("link[rel=icon]")))
const looking = () => document.visibilityState === "visible" && document.hasFocus() && scroll.atEnd
const attention = new Attention({ label, storage, clock, looking, tab })
const notices = new Notices({ label, storage, clock, title, name: () => composer.name, answers: ({ reply_to = 0 }) => timeline.at(reply_to)?.mark === room.mark })
const heading = new Title(find("title"), { label, save: (name) => room.entitle(name, composer.name), tell: notice })
const link = () => new URL(`/${label}/`, location.href).href
onWaking({ clock }, { again: () => socket.tryNow(), probe: () => room.probe() })

/** @param {Away} away */
function missed({ after, missed: number }) {
  const many = number >= COUNTED ? `${COUNTED.toLocaleString()} or more messages` : number === 1 ? "1 message" : `${number.toLocaleString()} messages`
  attention.missed({ after, words: `${many} while you were away` }, number)
  announcer.say(`${many} while you were away`)
}

function redraw() {
  scroll.around(() => list.reset(timeline))
  find("earlier").hidden = !timeline.older
}

/** The jump is offered while the line between old and new is further up than what is seen. */
function offerJump() {
  find("unread").hidden = !(list.line && scroll.isAbove(list.line))
}

function look() {
  attention.look()
  offerJump()
}

timeline.addEventListener("reset", redraw)
timeline.addEventListener("reset", () => timeline.newer || people.learn(timeline.rows))
timeline.addEventListener("away", () => timeline.away && missed(timeline.away))
timeline.addEventListener("change", (event) => {
  scroll.around(() => list.draw(/** @type {CustomEvent<Step[]>} */ (event).detail))
  find("earlier").hidden = !timeline.older
})
timeline.addEventListener("arrived", (event) => {
  const rows = /** @type {CustomEvent<Row[]>} */ (event).detail
  const others = rows.filter((row) => !mine(row) && !row.deleted && !row.kind && !ignored.has(row.mark))
  for (const { mark } of rows) typing.stop(mark)
  people.learn(rows)
  if (document.visibilityState !== "visible" || !document.hasFocus()) notices.tell(others)
  announcer.heard(others)
  attention.arrived(others, timeline.last)
  scroll.arrived(others.length)
  look()
})
timeline.addEventListener("title", () => {
  heading.show(title())
  tab.title = title()
  new RecentRooms(storage).remember({ label, name: timeline.name, at: clock.now() })
})
attention.addEventListener("line", () => {
  scroll.around(() => list.mark(attention.line))
  offerJump()
})
scroll.addEventListener("moved", look)
for (const change of ["focus", "blur"]) addEventListener(change, look)
document.addEventListener("visibilitychange", look)
addEventListener("pagehide", () => attention.leave())

room.addEventListener("state", () => {
  find("room").dataset.here = String(room.state === "here")
  connection.tell(room.state, room.reason)
})
room.addEventListener("you", (event) => {
  const { mark, token } = /** @type {CustomEvent<You>} */ (event).detail
  if (token) storage.set(TOKEN_KEY, token)
  if (mark !== page.you.mark) redraw()
  page.you.mark = mark
})

composer.addEventListener("say", (event) => {
  const { edit, ...said } = /** @type {CustomEvent<Wish & { message: string, edit?: number }>} */ (event).detail
  if (!(edit ? revise(edit, said.message) : room.outbox.say(said))) event.preventDefault()
  else if (!edit) travel.latest()
})
form.addEventListener("change", () => {
  document.documentElement.toggleAttribute("data-named", composer.name.trim() !== "")
  list.rename()
})
for (const change of ["change", "gone", "sent"]) room.outbox.addEventListener(change, () => connection.update())

/** @param {Wish} change */
function ask(change) {
  if (!room.outbox.say(change)) notice("Too much is waiting to be sent. Please try again when the connection is back.")
}

/** An edit to nothing asks to delete. Whether the words are in good hands. @param {number} seq @param {string} message */
function revise(seq, message) {
  if (!message.trim()) deeds.delete({ seq })
  return !message.trim() || timeline.at(seq)?.message === message || room.outbox.say({ event: "edit", seq, message })
}

/** What the server would not have: the words of an edit come back, of anything else the reason is told. */
function mend() {
  if (document.visibilityState !== "visible") return // of several tabs, the one that is looked at
  for (const { id, event, message, reason = "" } of room.outbox.failed) {
    if (!event) continue
    room.outbox.discard(id)
    if (event === "edit") composer.takeBack(message, reason)
    else notice(reason)
  }
}
room.outbox.addEventListener("change", mend)
document.addEventListener("visibilitychange", mend)

/** @type {Record<string, (row: Pick<Row, "seq"> & Partial<Row>, emoji?: string) => void>} */
const deeds = {
  react: ({ seq, reactions = {} }, emoji = "") => ask({ event: "react", seq, emoji, on: !reactions[emoji]?.includes(room.mark), mark: room.mark }),
  reply: (row) => composer.reply(row.seq, `Replying to ${row.handle}: ${firstLine(/** @type {Row} */ (row))}`),
  mention: ({ mark = "", handle = "" }) => mention(people.name(mark) || handle),
  edit: ({ seq, message = "" }) => composer.edit(seq, message),
  copy: async ({ message = "" }) => notice((await copy(message)) ? "Copied" : "Not copied: this browser does not allow it."),
  link: ({ seq }) => deeds.copy({ seq, message: `${link()}#m-${seq}` }),
  delete({ seq }) {
    const dialog = /** @type {HTMLDialogElement} */ (find("delete"))
    dialog.returnValue = ""
    openDialog("delete")
    dialog.onclose = () => dialog.returnValue && ask({ event: "delete", seq })
  },
  ignore: ({ mark = "", handle = "" }) => ignored.turn(mark, handle),
}
const menu = new MessageMenu(find("menu"), { log: find("log"), rowOf: (seq) => timeline.at(seq), mine, deeds })

const mention = (/** @type {string} */ name) => composer.insert(`@${name} `)
new Completion(find("completion"), { composer, meant: (begun) => people.meant(begun, room.mark), option: () => template("option") })

/** @type {Record<string, (rest: string) => unknown>} */
const commands = {
  nick: (rest) => (rest ? (composer.name = rest.slice(0, composer.nameField.maxLength)) : composer.nameField.focus()),
  help: () => openDialog("shortcuts"),
  who: () => whoIsHere(),
  leave: () => location.assign("/"),
}
composer.addEventListener("command", (event) => {
  const { command, rest } = /** @type {CustomEvent<{ command: string, rest: string }>} */ (event).detail
  commands[command](rest)
})
composer.addEventListener("named", () => {
  const { name } = composer
  const before = people.name(room.mark)
  if (before && name.trim() && before !== name) room.rename(name).catch(() => {}) // what is said next says it too
  const other = people.another(name, room.mark)
  if (other) composer.explain(`Somebody here is called ${name} already; your marks tell you apart.`, { words: `Be ${other}`, work: () => (composer.name = other) })
})
composer.addEventListener("typing", () => {
  const { name, field } = composer
  if (name.trim() && /^(?!\/)[^]*\S/.test(field.value) && typing.isNews(people.count)) socket.mention("typing", { handle: name })
})
socket.hear("typing", ({ label: where, mark, handle }) => where === label && mark !== room.mark && !ignored.has(mark) && typing.hear({ mark, handle }))

/** @type {PeoplePanel | undefined} */ let panel
async function whoIsHere() {
  const { PeoplePanel: Panel } = await import("./people_panel.js")
  panel ??= new Panel(/** @type {HTMLDialogElement} */ (find("people")), { people, ignored, me: () => room.mark, template, mention })
  panel.toggle()
}
find("here").addEventListener("click", () => whoIsHere().catch(() => notice("The list cannot be reached now.")))
socket.hear("presence", (/** @type {Presence} */ told) => told.label === label && people.hear(told))
socket.addEventListener("down", () => people.leave())
room.addEventListener("people", (event) => people.join(/** @type {CustomEvent<Joined>} */ (event).detail))
people.addEventListener("change", () => {
  const [, count] = find("here").children
  count.textContent = people.count ? String(people.count) : ""
  find("here").ariaLabel = people.count === 1 ? "1 person here" : `${people.count} people here`
})
ignored.addEventListener("change", redraw)

/** Who reacted is said to whoever asks. @param {Event} event */
function nameReaction({ target }) {
  const button = /** @type {HTMLElement | null} */ (/** @type {Element} */ (target).closest(".reaction"))
  if (!button) return
  const row = timeline.at(Number(/** @type {HTMLElement} */ (button.closest(".message")).dataset.seq))
  const marks = row?.reactions?.[button.dataset.emoji ?? ""] ?? []
  button.title = marks.map((mark) => (mark === room.mark ? "You" : people.name(mark) || "Somebody")).join(", ")
}
for (const asking of ["pointerover", "focusin"]) find("messages").addEventListener(asking, nameReaction)

/** @type {Record<string, (id: string, target: HTMLElement) => void>} */
const presses = {
  retry: (id) => room.outbox.retry(id),
  discard: (id) => room.outbox.discard(id),
  edit: (id) => composer.takeBack(room.outbox.discard(id)?.message ?? ""),
  turn: (_, target) => scroll.around(() => list.turn(target)),
  menu: (_, target) => menu.open(target),
  react: (_, target) => menu.do(target, "react", target.dataset.emoji),
  follow: (_, target) => travel.to(Number(target.getAttribute("href")?.slice(3))),
}
find("messages").addEventListener("click", (event) => {
  const target = /** @type {HTMLElement | null} */ (/** @type {Element} */ (event.target).closest("[data-action]"))
  if (!target) return
  event.preventDefault()
  presses[target.dataset.action ?? ""](/** @type {HTMLElement | null} */ (target.closest(".message"))?.dataset.id ?? "", target)
})
find("newer").addEventListener("click", () => travel.latest())
find("unread").addEventListener("click", () => attention.line && travel.to(attention.line.after + 1, false))

listenToDialogs()
listenToKeys({
  regions: () => [find("title").querySelector("button") ?? find("title"), find("log"), composer.field, ...(find("people").matches("[open]") ? [find("people").querySelector("button") ?? find("people")] : [])],
  log: find("log"),
  words: composer.field,
  latest: () => travel.latest(),
  escape: () => composer.cancel() || attention.clear(),
  help: () => openDialog("shortcuts"),
})
ringBell(find("bell"), /** @type {HTMLDialogElement} */ (find("notices")), notices)
chooseTheme(find("theme"), storage)
mindKeyboard(find("room"), visualViewport)
shareNatively(find("share"), () => ({ title: title(), url: link() }))
for (const element of document.querySelectorAll("[data-link]")) element.textContent = link()
for (const button of document.querySelectorAll("[data-copies]")) {
  copyLink(/** @type {HTMLElement} */ (button), link, (words) => announcer.say(words))
}

new RecentRooms(storage).remember({ label, name: page.name, at: clock.now() })
tab.title = page.name || label
timeline.load(page)
attention.open(timeline.rows, (row) => mine(row) || ignored.has(row.mark))
room.outbox.restore()
connection.tell(room.state)
socket.open()
const place = keptPlace()
const near = place && (!place.seq || timeline.rows.some(({ seq }) => seq === place.seq))
if (near) travel.again(place)
room.addEventListener("state", () => room.state === "here" && !near && (place ? travel.again(place) : travel.follow(location.hash)), { once: true })
keepPlace(scroll, clock)

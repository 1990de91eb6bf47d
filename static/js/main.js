// Where the room page is put together; everything else is handed what it needs.

import { Announcer } from "./announcer.js"
import { Attention } from "./attention.js"
import { ringBell } from "./bell.js"
import { BrowserTab } from "./browser_tab.js"
import { clock } from "./clock.js"
import { Composer } from "./composer.js"
import { Connection } from "./connection.js"
import { copyLink } from "./copy_link.js"
import { listenToDialogs, openDialog } from "./dialogs.js"
import { newId } from "./ids.js"
import { mindKeyboard } from "./keyboard.js"
import { listenToKeys } from "./keys.js"
import { leaseLead, lockLead } from "./leader.js"
import { mentions } from "./mentions.js"
import { MessageList } from "./message_list.js"
import { noticeIn } from "./notice.js"
import { Notices } from "./notices.js"
import { Outbox } from "./outbox.js"
import { OutboxStore } from "./outbox_store.js"
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
import { onWaking } from "./waking.js"

/** @import { Step } from "./timeline.js" */
/** @import { Away, Joined, Row, You } from "./wire.js" */

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
const list = new MessageList(find("messages"), template, mine, (text) => mentions(text, composer.name))
const scroll = new Scroll(find("log"), find("newer"), () => !timeline.newer)
const form = /** @type {HTMLFormElement} */ (find("composer"))
const composer = new Composer(form, storage, matchMedia("(hover: none) and (pointer: coarse)").matches)
const connection = new Connection(find("connection"), { clock, outbox: room.outbox, tryNow: () => socket.tryNow() })
const announcer = new Announcer(find("announcements"), clock)
const notice = noticeIn(find("notice"))
const travel = new Travel({ room, timeline, list, scroll, earlier: find("earlier"), tell: notice })
const title = () => timeline.name || label
const tab = new BrowserTab(/** @type {HTMLLinkElement} */ (document.querySelector("link[rel=icon]")))
const looking = () => document.visibilityState === "visible" && document.hasFocus() && scroll.atEnd
const attention = new Attention({ label, storage, clock, looking, tab })
const notices = new Notices({ label, storage, clock, title, name: () => composer.name })
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
timeline.addEventListener("away", () => timeline.away && missed(timeline.away))
timeline.addEventListener("change", (event) => {
  scroll.around(() => list.draw(/** @type {CustomEvent<Step[]>} */ (event).detail))
  find("earlier").hidden = !timeline.older
})
timeline.addEventListener("arrived", (event) => {
  const others = /** @type {CustomEvent<Row[]>} */ (event).detail.filter((row) => !mine(row) && !row.deleted && !row.kind)
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
  const said = room.outbox.say(/** @type {CustomEvent<{ handle: string, message: string }>} */ (event).detail)
  if (said) travel.latest()
  else event.preventDefault()
})
form.addEventListener("change", () => {
  document.documentElement.toggleAttribute("data-named", composer.name.trim() !== "")
  list.rename()
})
for (const change of ["change", "gone", "sent"]) room.outbox.addEventListener(change, () => connection.update())

find("messages").addEventListener("click", ({ target }) => {
  if (!(target instanceof HTMLElement)) return
  const id = /** @type {HTMLElement | null} */ (target.closest(".message"))?.dataset.id ?? ""
  const { action } = target.dataset
  if (action === "retry") room.outbox.retry(id)
  if (action === "discard") room.outbox.discard(id)
  if (action === "edit") composer.takeBack(room.outbox.discard(id)?.message ?? "")
  if (action === "turn") scroll.around(() => list.turn(target))
})
find("newer").addEventListener("click", () => travel.latest())
find("unread").addEventListener("click", () => attention.line && travel.to(attention.line.after + 1, false))

listenToDialogs()
listenToKeys({
  regions: [find("title").querySelector("button") ?? find("title"), find("log"), composer.field],
  log: find("log"),
  words: composer.field,
  latest: () => travel.latest(),
  escape: () => attention.clear(),
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
attention.open(timeline.rows, mine)
room.outbox.restore()
connection.tell(room.state)
socket.open()
const place = keptPlace()
const near = place && (!place.seq || timeline.rows.some(({ seq }) => seq === place.seq))
if (near) travel.again(place)
room.addEventListener("state", () => room.state === "here" && !near && (place ? travel.again(place) : travel.follow(location.hash)), { once: true })
keepPlace(scroll, clock)

// Where the room page is put together, as far as one needs it to come in, read and talk: everything else is handed what it needs. The rest, more.js, comes when the line is being opened.

import { Announcer, noticeIn } from "./announcer.js"
import { Attention, BrowserTab } from "./attention.js"
import { clock } from "./clock.js"
import { Composer } from "./composer.js"
import { Connection } from "./connection.js"
import { MessageList } from "./message_list.js"
import { Outbox, newId } from "./outbox.js"
import { People } from "./people.js"
import { Room } from "./room.js"
import { Scroll } from "./scroll.js"
import { dial } from "./socket.js"
import { Drafts, Ignored, Storage } from "./storage.js"
import { OutboxStore, leaseLead, lockLead } from "./tabs.js"
import { counted, mentions } from "./text.js"
import { Timeline } from "./timeline.js"
import { Travel, keepPlace, keptPlace } from "./travel.js"

/** @import { Reader } from "./message_list.js" */
/** @import { Step } from "./timeline.js" */
/** @import { Away, Joined, Presence, Row, You } from "./wire.js" */
/** @typedef {{ handle: string, messages: string[], edit?: number, reply_to?: number }} Said */

const TOKEN_KEY = "token"
const AGAIN_MS = 3000
const COUNTED = 10_000 // the server counts no further
const LATER = { click: ".top button, [data-copies]", keydown: ".log, body:not(:focus-within)" } // what more.js minds

export const find = (/** @type {string} */ id) => /** @type {HTMLElement} */ (document.getElementById(id))
export const template = (/** @type {string} */ name) => {
  const { content } = /** @type {HTMLTemplateElement} */ (find(`${name}-template`))
  return /** @type {HTMLElement} */ (document.importNode(content, true).firstElementChild)
}

/** @type {Joined} */
const page = JSON.parse(find("page").textContent ?? "")
export const { label } = page
export const storage = new Storage()
export const socket = dial((find("room").dataset.transports ?? "").split(" "), () => storage.get(TOKEN_KEY))
export const timeline = new Timeline(() => scroll.atEnd)
const leading = `confab:outbox:${label}`
const lead = navigator.locks ? lockLead(leading, navigator.locks) : leaseLead(leading, { clock, area: () => localStorage, me: newId() })
export const room = new Room({
  label,
  mark: page.you.mark,
  socket,
  timeline,
  outbox: (send) => new Outbox({ send, lead, clock, store: new OutboxStore(label) }),
  clock,
})
export const mine = (/** @type {Row} */ row) => row.mark === room.mark
export const ignored = new Ignored(label, storage)
export const people = new People()
/** @type {Reader} */
const reader = {
  mark: () => room.mark,
  hides: (mark) => ignored.has(mark),
  original: (seq) => timeline.at(seq),
  names: (text) => mentions(text, composer.name),
}
export const list = new MessageList(find("messages"), template, reader)
export const scroll = new Scroll(find("log"), find("newer"), () => !timeline.newer)
const touch = matchMedia("(hover: none) and (pointer: coarse)").matches
const last = () => timeline.rows.findLast((row) => mine(row) && !row.deleted && !row.kind)
const form = /** @type {HTMLFormElement} */ (find("composer"))
export const composer = new Composer(form, { storage, drafts: new Drafts(label, { storage, clock }), touch, last })
const connection = new Connection(find("connection"), { clock, outbox: room.outbox, tryNow: () => socket.tryNow() })
export const announcer = new Announcer(find("announcements"), clock)
export const notice = noticeIn(find("notice"))
export const travel = new Travel({ room, timeline, list, scroll, earlier: find("earlier"), tell: notice })
export const title = () => timeline.name || label
const tab = new BrowserTab(/** @type {HTMLLinkElement} */ (document.querySelector("link[rel=icon]")))
export const isSeen = () => document.visibilityState === "visible" && document.hasFocus()
export const attention = new Attention({ label, storage, clock, looking: () => isSeen() && scroll.atEnd, tab })

/** What the line has lost is asked for again. @returns {Promise<typeof import("./more.js")>} */
function theRest() {
  return import("./more.js").catch(async () => {
    await new Promise((again) => {
      clock.later(AGAIN_MS, () => again(null))
    })
    return theRest()
  })
}

/** @param {Away} away */
function missed({ after, missed: number }) {
  const many = number >= COUNTED ? `${COUNTED.toLocaleString()} or more messages` : counted(number, "message")
  attention.missed({ after, words: `${many} while you were away` }, number)
  announcer.say(`${many} while you were away`)
}

const redraw = () => scroll.around(() => list.reset(timeline))

/** The jump is offered while the line between old and new is further up than what is seen. */
function offerJump() {
  find("unread").hidden = !(list.line && scroll.isAbove(list.line))
}

function look() {
  attention.look()
  offerJump()
}

/** What others say and this person reads. @param {Row[]} rows */
export const byOthers = (rows) => rows.filter((row) => !mine(row) && !row.deleted && !row.kind && !ignored.has(row.mark))

timeline.addEventListener("reset", redraw)
timeline.addEventListener("reset", () => timeline.newer || people.learn(timeline.rows))
timeline.addEventListener("away", () => timeline.away && missed(timeline.away))
timeline.addEventListener("change", (event) => scroll.around(() => list.draw(/** @type {CustomEvent<Step[]>} */ (event).detail)))
for (const change of ["reset", "change"]) timeline.addEventListener(change, () => (find("earlier").hidden = !timeline.older))
timeline.addEventListener("arrived", (event) => {
  const rows = /** @type {CustomEvent<Row[]>} */ (event).detail
  const others = byOthers(rows)
  people.learn(rows)
  announcer.heard(others)
  attention.arrived(others, timeline.last)
  scroll.arrived(others.length)
  look()
})
timeline.addEventListener("title", () => (tab.title = title()))
attention.addEventListener("line", () => {
  scroll.around(() => list.mark(attention.line))
  offerJump()
})
scroll.addEventListener("moved", look)
for (const change of ["focus", "blur"]) addEventListener(change, look)
document.addEventListener("visibilitychange", look)
addEventListener("pagehide", () => attention.leave())
ignored.addEventListener("change", redraw)

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
socket.hear("presence", (/** @type {Presence} */ told) => told.label === label && people.hear(told))
socket.addEventListener("down", () => people.leave())
room.addEventListener("people", (event) => people.join(/** @type {CustomEvent<Joined>} */ (event).detail))
people.addEventListener("change", () => {
  const [, count] = find("here").children
  count.textContent = people.count ? String(people.count) : ""
  find("here").ariaLabel = people.counted
})

composer.addEventListener("say", (event) => {
  const { handle, messages, edit, reply_to } = /** @type {CustomEvent<Said>} */ (event).detail
  if (edit) {
    if (!revise(edit, messages[0])) event.preventDefault()
    return
  }
  if (room.outbox.sayAll(messages.map((message) => ({ handle, message, reply_to })))) travel.latest()
  else event.preventDefault()
})
composer.addEventListener("command", (event) => {
  const { command, rest } = /** @type {CustomEvent<{ command: string, rest: string }>} */ (event).detail
  more.then(({ commands }) => commands[command](rest))
})
composer.addEventListener("named", () => {
  document.documentElement.toggleAttribute("data-named", composer.name.trim() !== "")
  list.rename()
})
for (const change of ["change", "gone", "sent"]) room.outbox.addEventListener(change, () => connection.update())

/** An edit to nothing asks to delete. Whether the words are in good hands. @param {number} seq @param {string} message */
function revise(seq, message) {
  if (!message.trim()) more.then(({ deeds }) => deeds.delete({ seq }))
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

/** @type {Record<string, (id: string, target: HTMLElement) => void>} */
const presses = {
  retry: (id) => room.outbox.retry(id),
  discard: (id) => room.outbox.discard(id),
  edit: (id) => composer.takeBack(room.outbox.discard(id)?.message ?? ""),
  turn: (_, target) => scroll.around(() => list.turn(target)),
  menu: (_, target) => more.then(({ menu }) => menu.open(target)),
  react: (_, target) => more.then(({ menu }) => menu.do(target, "react", target.dataset.emoji)),
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

tab.title = page.name || label
timeline.load(page)
attention.open(timeline.rows, (row) => mine(row) || ignored.has(row.mark))
room.outbox.restore()
connection.tell(room.state)
socket.open()
const more = theRest()
const place = keptPlace()
const near = place && (!place.seq || timeline.rows.some(({ seq }) => seq === place.seq))
if (near) travel.again(place)
room.addEventListener("state", () => room.state === "here" && !near && (place ? travel.again(place) : travel.follow(location.hash)), { once: true })
keepPlace(scroll, clock)

/** What was pressed before more.js could hear of it. @type {Event[]} */
const pressed = []
const over = new AbortController()
for (const [type, where] of Object.entries(LATER)) {
  addEventListener(type, (event) => event.defaultPrevented || !(/** @type {Element} */ (event.target).closest(where)) || pressed.push(event), over)
}
more.then(() => {
  over.abort()
  for (const event of pressed) event.target?.dispatchEvent(Reflect.construct(event.constructor, [event.type, event]))
})

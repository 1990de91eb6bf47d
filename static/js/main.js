// Where the room page is put together; everything else is handed what it needs.

import { clock } from "./clock.js"
import { Composer } from "./composer.js"
import { Connection } from "./connection.js"
import { copyLink } from "./copy_link.js"
import { newId } from "./ids.js"
import { leaseLead, lockLead } from "./leader.js"
import { MessageList } from "./message_list.js"
import { Outbox } from "./outbox.js"
import { OutboxStore } from "./outbox_store.js"
import { RecentRooms } from "./recent_rooms.js"
import { Room } from "./room.js"
import { Scroll } from "./scroll.js"
import { dial } from "./socket.js"
import { Storage } from "./storage.js"
import { Timeline } from "./timeline.js"
import { onWaking } from "./waking.js"

/** @import { Step } from "./timeline.js" */
/** @import { Joined, You } from "./wire.js" */

const TOKEN_KEY = "token"

const find = (/** @type {string} */ id) => /** @type {HTMLElement} */ (document.getElementById(id))
const template = (/** @type {string} */ name) => {
  const { content } = /** @type {HTMLTemplateElement} */ (find(`${name}-template`))
  return /** @type {HTMLElement} */ (document.importNode(content, true).firstElementChild)
}

/** @type {Joined} */
const page = JSON.parse(find("page").textContent ?? "")
const storage = new Storage()
const socket = dial((find("room").dataset.transports ?? "").split(" "), () => storage.get(TOKEN_KEY))
const timeline = new Timeline()
const leading = `confab:outbox:${page.label}`
const lead = navigator.locks ? lockLead(leading, navigator.locks) : leaseLead(leading, { clock, area: () => localStorage, me: newId() })
const room = new Room({
  label: page.label,
  mark: page.you.mark,
  socket,
  timeline,
  outbox: (send) => new Outbox({ send, lead, clock, store: new OutboxStore(page.label) }),
  clock,
})
const list = new MessageList(find("messages"), template, (row) => row.mark === room.mark)
const scroll = new Scroll(find("log"), find("newer"))
const composer = new Composer(/** @type {HTMLFormElement} */ (find("composer")), storage, matchMedia("(hover: none) and (pointer: coarse)").matches)
const connection = new Connection(find("connection"), { clock, outbox: room.outbox, tryNow: () => socket.tryNow() })
onWaking({ clock }, { again: () => socket.tryNow(), probe: () => room.probe() })

function redraw() {
  quietly(() => scroll.around(() => list.reset(timeline)))
  find("earlier").hidden = !timeline.older
}

/** What was said long ago is not read out as new. @param {() => void | Promise<void>} change */
async function quietly(change) {
  find("log").ariaLive = "off"
  await change()
  requestAnimationFrame(() => (find("log").ariaLive = "polite"))
}

timeline.addEventListener("reset", redraw)
timeline.addEventListener("change", (event) => {
  const steps = /** @type {CustomEvent<Step[]>} */ (event).detail
  scroll.around(() => list.draw(steps, timeline.away))
  scroll.arrived(steps.filter((step) => "row" in step && step.fresh && step.row.mark !== room.mark).length)
})

room.addEventListener("state", () => connection.tell(room.state, room.reason))
room.addEventListener("you", (event) => {
  const { mark, token } = /** @type {CustomEvent<You>} */ (event).detail
  if (token) storage.set(TOKEN_KEY, token)
  if (mark !== page.you.mark) redraw()
  page.you.mark = mark
})

composer.addEventListener("say", (event) => {
  const said = room.outbox.say(/** @type {CustomEvent<{ handle: string, message: string }>} */ (event).detail)
  if (said) scroll.toEnd()
  else event.preventDefault()
})
for (const change of ["change", "gone", "sent"]) room.outbox.addEventListener(change, () => connection.update())

find("messages").addEventListener("click", ({ target }) => {
  if (!(target instanceof HTMLElement)) return
  const id = /** @type {HTMLElement | null} */ (target.closest(".message"))?.dataset.id ?? ""
  const { action } = target.dataset
  if (action === "retry") room.outbox.retry(id)
  if (action === "discard") room.outbox.discard(id)
  if (action === "edit") composer.takeBack(room.outbox.discard(id)?.message ?? "")
})

let readingBack = false
async function readBack() {
  if (readingBack || !timeline.older) return
  readingBack = true
  await quietly(async () => void (await room.earlier()))
  find("earlier").hidden = !timeline.older
  readingBack = false
}
find("earlier").addEventListener("click", readBack)
scroll.addEventListener("beginning", readBack)

const link = () => new URL(`/${page.label}/`, location.href).href
for (const element of document.querySelectorAll("[data-link]")) element.textContent = link()
for (const button of document.querySelectorAll("[data-copies]")) {
  copyLink(/** @type {HTMLElement} */ (button), link, (words) => (find("announcements").textContent = words))
}

new RecentRooms(storage).remember({ label: page.label, name: page.name, at: clock.now() })
timeline.load(page)
room.outbox.restore()
connection.tell(room.state)
socket.open()

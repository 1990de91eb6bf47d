// The other half of the room page: what nobody needs to come in and talk. Menus, names, dialogs, keys.

import { clock } from "./clock.js"
import { Completion } from "./completion.js"
import { onWaking } from "./connection.js"
import { firstLine } from "./extras.js"
import { Title, copy, copyLink, listenToDialogs, openDialog, ringBell, shareNatively } from "./header.js"
import { listenToKeys, mindKeyboard } from "./keyboard.js"
import { announcer, attention, byOthers, composer, find, ignored, isSeen, label, mine, notice, people, room, socket, storage, template, timeline, title, travel } from "./main.js"
import { MessageMenu } from "./message_menu.js"
import { Notices } from "./notices.js"
import { PeoplePanel } from "./people_panel.js"
import { RecentRooms } from "./storage.js"
import { truncate } from "./text.js"
import { chooseTheme } from "./theme.js"
import { Typing } from "./typing.js"

/** @import { Row, Wish } from "./wire.js" */

const link = () => new URL(`/${label}/`, location.href).href
const mention = (/** @type {string} */ name) => composer.insert(`@${name} `)
const typing = new Typing(find("typing"), clock)
const notices = new Notices({ label, storage, clock, title, name: () => composer.name, answers: ({ reply_to = 0 }) => timeline.at(reply_to)?.mark === room.mark })
const heading = new Title(find("title"), { label, save: (name) => room.entitle(name, composer.name), tell: notice })
const panel = new PeoplePanel(/** @type {HTMLDialogElement} */ (find("people")), { people, ignored, me: () => room.mark, template, mention })
find("here").addEventListener("click", () => panel.toggle())
onWaking({ clock }, { again: () => socket.tryNow(), probe: () => room.probe() })

function entitled() {
  heading.show(title())
  new RecentRooms(storage).remember({ label, name: timeline.name, at: clock.now() })
}
timeline.addEventListener("title", entitled)
entitled()

timeline.addEventListener("arrived", (event) => {
  const rows = /** @type {CustomEvent<Row[]>} */ (event).detail
  for (const { mark } of rows) typing.stop(mark)
  if (!isSeen()) notices.tell(byOthers(rows))
})
composer.addEventListener("typing", () => {
  const { name, field } = composer
  if (name.trim() && /^(?!\/)[^]*\S/.test(field.value) && typing.isNews(people.count)) socket.mention("typing", { handle: name })
})
socket.hear("typing", ({ label: where, mark, handle }) => where === label && mark !== room.mark && !ignored.has(mark) && typing.hear({ mark, handle }))
composer.addEventListener("named", () => {
  const { name } = composer
  const before = people.name(room.mark)
  if (before && name.trim() && before !== name) room.rename(name).catch(() => {}) // what is said next says it too
  const other = people.another(name, room.mark)
  if (other) composer.explain(`Somebody here is called ${name} already; your marks tell you apart.`, { words: `Be ${other}`, work: () => (composer.name = other) })
})

/** @param {Wish} change */
function ask(change) {
  if (!room.outbox.say(change)) notice("Too much is waiting to be sent. Please try again when the connection is back.")
}

/** @type {Record<string, (row: Pick<Row, "seq"> & Partial<Row>, emoji?: string) => void>} */
export const deeds = {
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
export const menu = new MessageMenu(find("menu"), { log: find("log"), rowOf: (seq) => timeline.at(seq), mine, deeds })

/** @type {Record<string, (rest: string) => unknown>} */
export const commands = {
  nick: (rest) => (rest ? (composer.name = truncate(rest, composer.nameField.maxLength)) : composer.nameField.focus()),
  help: () => openDialog("shortcuts"),
  who: () => panel.toggle(),
  leave: () => location.assign("/"),
}
new Completion(find("completion"), { composer, meant: (begun) => people.meant(begun, room.mark), option: () => template("option") })

/** Who reacted is said to whoever asks. @param {Event} event */
function nameReaction({ target }) {
  const button = /** @type {HTMLElement | null} */ (/** @type {Element} */ (target).closest(".reaction"))
  if (!button) return
  const row = timeline.at(Number(/** @type {HTMLElement} */ (button.closest(".message")).dataset.seq))
  const marks = row?.reactions?.[button.dataset.emoji ?? ""] ?? []
  button.title = marks.map((mark) => (mark === room.mark ? "You" : people.name(mark) || "Somebody")).join(", ")
}
for (const asking of ["pointerover", "focusin"]) find("messages").addEventListener(asking, nameReaction)

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

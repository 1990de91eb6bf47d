// The rules of the room: the newest ones count, and what hosts did is learned from messages.

import assert from "node:assert/strict"
import { beforeEach, test } from "node:test"

import { RoomRules } from "../../static/js/state/room_rules.js"
import { row } from "./fakes.mjs"

const NOW = Date.UTC(2026, 10, 22, 9)
const LATER = new Date(NOW + 60_000).toISOString()

let rules
let changeCount

beforeEach(() => {
  changeCount = 0
  rules = new RoomRules(() => "me")
  rules.addEventListener("change", () => {
    changeCount += 1
  })
})

/** The message that announces an action of Hana. */
function action(seq, details) {
  const defaults = { rules: { expiry_seconds: 0 } }
  return row(seq, {
    kind: "moderation",
    handle: "Hana",
    mark: "hana",
    details: { ...defaults, ...details },
  })
}

test("a room without rules is open to everybody", () => {
  assert.equal(rules.isLocked, false)
  assert.equal(rules.ownRole, "")
  assert.equal(rules.slowModeSeconds, 0)
})

test("the rules of the highest change apply, in whatever order they come", () => {
  rules.apply({ expiry_seconds: 60, locked: true }, 5)
  rules.learn([
    action(8, { action: "slow_mode", rules: { expiry_seconds: 60, slow_mode_seconds: 10 } }),
    action(7, { action: "unlock", rules: { expiry_seconds: 60 } }),
  ])
  rules.apply({ expiry_seconds: 0, locked: true }, 6)

  assert.equal(rules.isLocked, false)
  assert.equal(rules.slowModeSeconds, 10)
  assert.equal(rules.expirySeconds, 60)
})

test("messages of people do not change the rules", () => {
  rules.learn([row(1, { details: { action: "lock", rules: { expiry_seconds: 0, locked: true } } })])

  assert.equal(rules.isLocked, false)
  assert.equal(changeCount, 0)
})

test("unchanged rules are no change", () => {
  rules.apply({ expiry_seconds: 60 }, 1)
  rules.apply({ expiry_seconds: 60 }, 2)

  assert.equal(changeCount, 1)
})

test("roles are known by mark, hosts first", () => {
  rules.apply({ expiry_seconds: 0, roles: { mo: "moderator", hana: "host" } }, 1)

  assert.equal(rules.roleOf("hana"), "host")
  assert.equal(rules.roleOf("cy"), "")
  assert.equal(rules.roleOf("constructor"), "")
  assert.equal(rules.hasHost, true)
  assert.deepEqual(
    rules.officers.map(({ mark }) => mark),
    ["hana", "mo"],
  )
})

test("a host moderates everybody else, a moderator people without a role, others nobody", () => {
  rules.apply({ expiry_seconds: 0, roles: { me: "host", hana: "host" } }, 1)
  assert.deepEqual(
    ["me", "hana", "cy", ""].map((mark) => rules.mayModerate(mark)),
    [false, true, true, false],
  )

  rules.apply({ expiry_seconds: 0, roles: { me: "moderator", hana: "host" } }, 2)
  assert.deepEqual(
    ["me", "hana", "cy"].map((mark) => rules.mayModerate(mark)),
    [false, false, true],
  )

  rules.apply({ expiry_seconds: 0, roles: { hana: "host" } }, 3)
  assert.equal(rules.mayModerate("cy"), false)
})

test("a mute lasts until its end, or until it is lifted", () => {
  rules.learn([action(1, { action: "mute", target: "cy", until: LATER })])
  assert.equal(rules.mutedUntil("cy", NOW), Date.parse(LATER))
  assert.equal(rules.mutedUntil("cy", Date.parse(LATER)), 0)

  rules.learn([action(2, { action: "mute", target: "cy" })])
  assert.equal(rules.mutedUntil("cy", NOW), Infinity)

  rules.learn([action(3, { action: "unmute", target: "cy" })])
  rules.learn([action(2, { action: "mute", target: "cy" })])
  assert.equal(rules.mutedUntil("cy", NOW), 0)
})

test("a host is never muted", () => {
  rules.learn([action(1, { action: "mute", target: "cy" })])
  const withCy = { expiry_seconds: 0, roles: { cy: "host" } }
  rules.learn([action(2, { action: "use_host_link", target: "cy", rules: withCy })])

  assert.equal(rules.mutedUntil("cy", NOW), 0)
})

test("who has banned this person is known, and not who has banned others", () => {
  rules.learn([
    action(1, { action: "ban", target: "cy" }),
    action(2, { action: "remove", target: "me" }),
  ])

  assert.equal(rules.latest("ban"), undefined)
  assert.equal(rules.latest("remove").name, "Hana")
})

test("an own mute is learned from the answer of the server, unless a message is newer", () => {
  rules.learnOwnMute(LATER, 3)
  assert.equal(rules.mutedUntil("me", NOW), Date.parse(LATER))
  assert.equal(changeCount, 1)

  rules.learnOwnMute(LATER, 4)
  assert.equal(changeCount, 1)

  rules.learn([action(5, { action: "unmute", target: "me" })])
  rules.learnOwnMute(LATER, 4)
  assert.equal(rules.mutedUntil("me", NOW), 0)

  rules.learnOwnMute(null, 6)
  assert.equal(rules.mutedUntil("me", NOW), Infinity)

  rules.learnOwnMute(undefined, 7)
  assert.equal(rules.mutedUntil("me", NOW), 0)
})

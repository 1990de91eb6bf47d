// The settings that a host saves become actions, one for each rule that differs.

import assert from "node:assert/strict"
import { test } from "node:test"

import { formatDuration, keptText } from "../../static/js/lib/durations.js"
import { mergeSettings, settingsChanges } from "../../static/js/state/settings_changes.js"

const RULES = { isLocked: false, slowModeSeconds: 0, isNamedByHosts: false, expirySeconds: 0 }

test("unchanged settings need no action", () => {
  assert.deepEqual(settingsChanges(RULES, { ...RULES }), [])
})

test("each rule that differs is one action", () => {
  const wanted = { isLocked: true, slowModeSeconds: 30, isNamedByHosts: true, expirySeconds: 3600 }

  assert.deepEqual(settingsChanges(RULES, wanted), [
    { action: "lock" },
    { action: "slow_mode", seconds: 30 },
    { action: "naming", by: "hosts" },
    { action: "expiry", seconds: 3600 },
  ])
  assert.deepEqual(settingsChanges(wanted, RULES), [
    { action: "unlock" },
    { action: "slow_mode", seconds: 0 },
    { action: "naming", by: "all" },
    { action: "expiry", seconds: 0 },
  ])
})

test("what another host has changed is shown and not saved again", () => {
  const wanted = { ...RULES, slowModeSeconds: 30 }
  const current = { ...RULES, isLocked: true }
  const merged = mergeSettings(RULES, wanted, current)

  assert.deepEqual(merged, { ...RULES, isLocked: true, slowModeSeconds: 30 })
  assert.deepEqual(settingsChanges(current, merged), [{ action: "slow_mode", seconds: 30 }])
})

test("what both hosts have changed is as the host of this page wants it", () => {
  const wanted = { ...RULES, slowModeSeconds: 30 }
  const current = { ...RULES, slowModeSeconds: 300 }

  assert.deepEqual(mergeSettings(RULES, wanted, current), wanted)
})

test("durations are in words, also those of the operator's settings", () => {
  assert.equal(formatDuration(86_400), "24 hours")
  assert.equal(formatDuration(7_776_000), "90 days")
  assert.equal(formatDuration(7200), "2 hours")
  assert.equal(keptText(604_800), "Messages disappear after 7 days.")
  assert.equal(keptText(0), "Messages are kept until their author or a host deletes them.")
})

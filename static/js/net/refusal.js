// Finds out whether the server refuses connections of this page, and why.

import { basePath } from "../lib/site.js"

/**
 * Sent by POST and without a session, it creates nothing and counts for no limit. It has the same
 * Origin as a WebSocket.
 */
const PROBE_PATH = `${basePath}/socket.io/?EIO=4&transport=polling`
const REFUSALS = ["host_refused", "origin_refused", "rate_limited", "too_many_connections"]

/**
 * The reason for which the server refuses connections at present.
 *
 * Browsers do not show a page the answer to the handshake of a WebSocket, so this sends a request
 * of its own.
 *
 * @param {typeof fetch} [send]
 * @returns {Promise<string>} "" when the server does not refuse them, or does not answer
 */
export async function fetchRefusal(send = fetch) {
  try {
    const response = await send(PROBE_PATH, { method: "POST" })
    if (response.ok) return ""
    const { code, message } = await response.json()
    return REFUSALS.includes(code) ? String(message) : ""
  } catch {
    return "" // no connection, or the answer of a proxy
  }
}

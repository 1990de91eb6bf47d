// The two ways asking the server can fail: it said no, or it did not say anything.

/** @import { Refusal } from "./wire.js" */

export class Refused extends Error {
  /** @param {Refusal} refusal */
  constructor({ code, message, retry, retry_after_ms }) {
    super(message)
    this.code = code
    this.retry = retry
    this.retryAfterMs = retry_after_ms
  }
}

export class Unreachable extends Error {}

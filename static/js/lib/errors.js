// The two ways in which a request to the server fails.

/** @import { Refusal } from "../wire.js" */

/** The server has refused the request. */
export class Refused extends Error {
  /** @param {Refusal} refusal */
  constructor({ code, message, retry, retry_after_ms, suggestion }) {
    super(message)
    this.code = code
    /** Whether the same request may succeed later. */
    this.retry = retry
    this.retryAfterMs = retry_after_ms
    /** What to try instead: another name. */
    this.suggestion = suggestion
  }
}

/** There is no connection, or no answer in time: the server may have handled the request or not. */
export class Unreachable extends Error {}

// The line to the server. The only module that knows Socket.IO.

import { io } from "../vendor/socket.io-client-4.8.4.esm.min.js"
import { Refused, Unreachable } from "./answers.js"

/** @typedef {import("../vendor/socket.io-client-4.8.4.esm.min.js").Socket} Line */

const PATIENCE_MS = 8000
const AGAIN_MS = 2000

/** A line that keeps trying, with the token of a person without cookies. @param {() => string | null} token */
export function dial(token) {
  const line = io({
    autoConnect: false,
    transports: ["websocket", "polling"],
    tryAllTransports: true,
    reconnectionDelay: 500,
    reconnectionDelayMax: 5000,
    randomizationFactor: 0.5,
    timeout: 10_000,
    auth: (/** @type {(auth: object) => void} */ give) => give(token() ? { token: token() } : {}),
  })
  return new Socket(line)
}

/** Dispatches `up` and `down`. */
export class Socket extends EventTarget {
  #line

  /** @param {Line} line */
  constructor(line) {
    super()
    this.#line = line
    line.on("connect", () => this.dispatchEvent(new Event("up")))
    line.on("disconnect", () => this.#lost())
    line.on("connect_error", () => this.#lost())
  }

  open() {
    this.#line.connect()
  }

  /** Skips the rest of the pause between two tries. */
  tryNow() {
    if (!this.#line.connected) this.#line.disconnect().connect()
  }

  /** Asks only a connected line: what Socket.IO would keep for later, it would send blindly. @param {string} event @param {object} data @returns {Promise<any>} */
  async ask(event, data) {
    if (!this.#line.connected) throw new Unreachable("not connected")
    const answer = await this.#line.timeout(PATIENCE_MS).emitWithAck(event, data).catch((error) => {
      throw new Unreachable(error.message)
    })
    if (!answer?.ok) throw new Refused(answer ?? { code: "server_error", message: "no answer", retry: true })
    return answer
  }

  /** @param {string} event @param {(data: any) => void} tell */
  hear(event, tell) {
    this.#line.on(event, tell)
  }

  #lost() {
    this.dispatchEvent(new Event("down"))
    // Socket.IO does not come back by itself when it was the server that closed the line.
    if (!this.#line.active) setTimeout(() => this.open(), AGAIN_MS * (0.5 + Math.random()))
  }
}

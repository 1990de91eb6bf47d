// The line to the server. The only module that knows Socket.IO.

import { io } from "../vendor/socket.io-client-4.8.4.esm.min.js"
import { Refused, Unreachable } from "./answers.js"

/** @typedef {import("../vendor/socket.io-client-4.8.4.esm.min.js").Socket} Line */

const PATIENCE_MS = 8000
const AGAIN_MS = 2000

/** A line that keeps trying, over what the server offers, with the token of a person without cookies. @param {string[]} transports @param {() => string | null} token */
export function dial(transports, token) {
  const line = io({
    autoConnect: false,
    transports: ranked(transports),
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
  #followed = false // once for each time we get through: two servers that disagree must not make us run between them

  /** @param {Line} line */
  constructor(line) {
    super()
    this.#line = line
    line.on("connect", () => this.#found())
    line.on("disconnect", () => this.#lost())
    line.on("connect_error", (error) => {
      this.#lost()
      this.#follow(error)
    })
  }

  open = () => this.#line.connect()
  /** @param {string} event @param {(data: any) => void} tell */
  hear = (event, tell) => this.#line.on(event, tell)
  /** What is not worth keeping when the line is down, nor an answer. @param {string} event @param {object} data */
  mention = (event, data) => this.#line.connected && this.#line.emit(event, data)

  /** Skips the rest of the pause between two tries. */
  tryNow = () => this.#line.connected || this.rebuild()
  /** Gives up a line on which nobody answers. */
  rebuild = () => this.#line.disconnect().connect()

  /** Asks only a connected line: what Socket.IO would keep for later, it would send blindly. @param {string} event @param {object} data @param {number} patience @returns {Promise<any>} */
  async ask(event, data, patience = PATIENCE_MS) {
    if (!this.#line.connected) throw new Unreachable("not connected")
    const answer = await this.#line.timeout(patience).emitWithAck(event, data).catch((error) => {
      throw new Unreachable(error.message)
    })
    if (!answer?.ok) throw new Refused(answer ?? { code: "server_error", message: "no answer", retry: true })
    return answer
  }

  /** The server may have come back with more workers and other transports than when this page was made: its refusal names them. @param {Error} error */
  #follow(error) {
    const offered = namedIn(/** @type {{ context?: { responseText?: string } }} */ (error).context?.responseText)
    if (!offered) return
    this.#line.io.opts.transports = ranked(offered)
    if (!this.#followed) this.rebuild()
    this.#followed = true
  }

  #found() {
    this.#followed = false
    this.dispatchEvent(new Event("up"))
  }

  #lost() {
    this.dispatchEvent(new Event("down"))
    // Socket.IO does not come back by itself when it was the server that closed the line.
    if (!this.#line.active) setTimeout(() => this.open(), AGAIN_MS * (0.5 + Math.random()))
  }
}

const BEST_FIRST = ["websocket", "polling"]

/** @param {string[]} transports */
const ranked = (transports) => BEST_FIRST.filter((transport) => transports.includes(transport))

/** @param {string | undefined} body @returns {string[] | null} */
function namedIn(body) {
  try {
    const { transports } = JSON.parse(body ?? "")
    return Array.isArray(transports) && ranked(transports).length ? transports : null
  } catch {
    return null
  }
}

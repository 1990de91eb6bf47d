// The connection to the server. The only module that uses Socket.IO.

import { io } from "../../vendor/socket.io-client-4.8.4.esm.min.js"
import { Refused, Unreachable } from "../lib/errors.js"
import { basePath } from "../lib/site.js"
import { fetchRefusal } from "./refusal.js"

/** @import { Clock } from "../lib/clock.js" */
/** @import { Refusal } from "../wire.js" */
/** @import { Socket as SocketIO } from "../../vendor/socket.io-client-4.8.4.esm.min.js" */

const ACK_TIMEOUT_MS = 8000
const CONNECT_TIMEOUT_MS = 10_000
const FIRST_RECONNECT_DELAY_MS = 500 // doubled after each attempt, up to the longest
const MAX_RECONNECT_DELAY_MS = 5000
const SERVER_CLOSED_RECONNECT_DELAY_MS = 2000 // unless the server asks for another
const JITTER_FRACTION = 0.5
const TRANSPORTS_BY_PREFERENCE = ["websocket", "polling"]

/**
 * Creates a connection that reconnects by itself, with exponential back-off and jitter. `open`
 * opens it.
 *
 * @param {string[]} transports that the server offers
 * @param {() => string | null} getToken identifies a person whose browser has no cookies
 * @param {Clock} clock
 */
export function connect(transports, getToken, clock) {
  const socket = io({
    autoConnect: false,
    path: `${basePath}/socket.io/`,
    transports: sortTransports(transports),
    tryAllTransports: true,
    reconnectionDelay: FIRST_RECONNECT_DELAY_MS,
    reconnectionDelayMax: MAX_RECONNECT_DELAY_MS,
    randomizationFactor: JITTER_FRACTION,
    timeout: CONNECT_TIMEOUT_MS,
    auth: (/** @type {(auth: object) => void} */ provide) => {
      const token = getToken()
      provide(token ? { token } : {})
    },
  })
  return new Socket(socket, { askForRefusal: fetchRefusal, clock })
}

/**
 * Dispatches `connected` and `disconnected`, and after each failed attempt to connect `refused`
 * with the reason why the server has refused it; "" when it has not, or is not reached. Connecting
 * is tried again.
 */
export class Socket extends EventTarget {
  #socket
  #askForRefusal
  #clock
  /** Whether `open` has been called: before, the room may not exist. */
  #isOpened = false
  /** Whether `close` has been called since. */
  #isClosed = false
  #isConnected = false
  /** Attempts to connect that have failed. */
  #failureCount = 0
  /**
   * Whether the transports were changed since the last connection: two servers that offer different
   * transports must not make the page alternate between them for ever.
   */
  #hasChangedTransports = false

  /**
   * @param {SocketIO} socket
   * @param {object} dependencies
   * @param {() => Promise<string>} dependencies.askForRefusal why the server refuses connections,
   *   or ""
   * @param {Clock} dependencies.clock
   */
  constructor(socket, { askForRefusal, clock }) {
    super()
    this.#socket = socket
    this.#askForRefusal = askForRefusal
    this.#clock = clock
    socket.on("connect", () => this.#handleConnect())
    socket.on("disconnect", () => this.#handleDisconnect())
    socket.on("connect_error", (error) => {
      this.#handleDisconnect(refusalIn(error))
      this.#adoptOfferedTransports(error)
    })
  }

  open() {
    this.#isOpened = true
    this.#isClosed = false
    this.#socket.connect()
  }

  /** Closes the connection until `open` is called again. */
  close() {
    this.#isOpened = false
    this.#isClosed = true
    this.#socket.disconnect()
  }

  /**
   * @param {string} event
   * @param {(payload: any) => void} listener
   */
  on(event, listener) {
    this.#socket.on(event, listener)
  }

  /**
   * Sends an event that needs no answer. It is dropped when there is no connection.
   *
   * @param {string} event
   * @param {object} payload
   */
  send(event, payload) {
    if (this.#socket.connected) this.#socket.emit(event, payload)
  }

  /**
   * Sends an event and waits for the acknowledgement.
   *
   * Throws Unreachable without a connection: Socket.IO would keep the event, and send it later when
   * it may be outdated.
   *
   * @param {string} event
   * @param {object} payload
   * @param {number} [timeoutMs]
   * @returns {Promise<any>} the answer
   * @throws {Refused | Unreachable}
   */
  async request(event, payload, timeoutMs = ACK_TIMEOUT_MS) {
    if (!this.#socket.connected) throw new Unreachable("not connected")
    const answer = await this.#emitWithAck(event, payload, timeoutMs)
    if (answer?.ok) return answer
    throw new Refused(
      answer ?? { code: "server_error", message: "The server did not answer.", retry: true },
    )
  }

  /** Tries to connect at once, without waiting for the reconnect delay; not before `open`. */
  retryNow() {
    if (this.#isOpened && !this.#socket.connected) this.reconnect()
  }

  /** Drops the connection, which may be dead, opens a new one, and restarts the back-off. */
  reconnect() {
    this.#socket.disconnect().connect()
  }

  /**
   * @param {string} event
   * @param {object} payload
   * @param {number} timeoutMs
   */
  async #emitWithAck(event, payload, timeoutMs) {
    try {
      return await this.#socket.timeout(timeoutMs).emitWithAck(event, payload)
    } catch (error) {
      throw new Unreachable(/** @type {Error} */ (error).message)
    }
  }

  #handleConnect() {
    this.#isConnected = true
    this.#hasChangedTransports = false
    this.dispatchEvent(new Event("connected"))
  }

  /** @param {Refusal} [refusal] of the connection, if the server has told why */
  #handleDisconnect(refusal) {
    const hasFailedToConnect = !this.#isConnected
    this.#isConnected = false
    this.dispatchEvent(new Event("disconnected"))
    if (hasFailedToConnect) this.#reportRefusal(refusal?.message)
    // `active`: Socket.IO reconnects by itself. It does not when the server has closed or refused
    // the connection.
    if (this.#socket.active || this.#isClosed) return
    const delayMs = refusal?.retry_after_ms ?? SERVER_CLOSED_RECONNECT_DELAY_MS
    const factor = 1 + JITTER_FRACTION * this.#clock.random()
    this.#clock.schedule(delayMs * factor, () => {
      if (!this.#isClosed) this.open()
    })
  }

  /** @param {string} [knownReason] if the server need not be asked */
  async #reportRefusal(knownReason) {
    this.#failureCount += 1
    const failure = this.#failureCount
    const reason = knownReason || (await this.#askForRefusal())
    const isOutdated = failure !== this.#failureCount
    if (isOutdated || this.#isConnected) return
    this.dispatchEvent(new CustomEvent("refused", { detail: reason }))
  }

  /**
   * After a restart the server may offer other transports than when the page was loaded. The body
   * of its refusal names them.
   *
   * @param {Error} error
   */
  #adoptOfferedTransports(error) {
    const { context } = /** @type {{ context?: { responseText?: string } }} */ (error)
    const offered = transportsIn(context?.responseText)
    if (offered.length === 0) return
    this.#socket.io.opts.transports = offered
    if (!this.#hasChangedTransports) this.reconnect()
    this.#hasChangedTransports = true
  }
}

/**
 * @param {Error} error of a refused connection
 * @returns {Refusal | undefined}
 */
function refusalIn(error) {
  return /** @type {{ data?: Refusal }} */ (/** @type {unknown} */ (error)).data
}

/** @param {string[]} offered */
function sortTransports(offered) {
  return TRANSPORTS_BY_PREFERENCE.filter((transport) => offered.includes(transport))
}

/**
 * The known transports that a refusal names, the best first.
 *
 * @param {string | undefined} body
 * @returns {string[]}
 */
function transportsIn(body) {
  try {
    const { transports } = JSON.parse(body ?? "")
    return Array.isArray(transports) ? sortTransports(transports) : []
  } catch {
    return [] // the answer of a proxy, for example
  }
}

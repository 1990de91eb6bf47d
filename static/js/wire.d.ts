// What the server says, as types; docs/protocol.md says it in words.

/** A message as it stands after its change number `rev`. */
export interface Row {
  label: string
  seq: number
  rev: number
  handle: string
  message: string
  timestamp: string
  mark: string
  id?: string
  reply_to?: number
  /** A line of the room itself: with "title", `message` is the name the room has since. */
  kind?: string
  edited?: string
  deleted?: true
}

export interface You {
  mark: string
  token?: string
}

/** The answer to `join`; `older` comes without `after`, `missed` with it. The page embeds the same. */
export interface Joined {
  label: string
  name: string
  head: number
  epoch: string
  messages: Row[]
  upto: number
  you: You
  older?: boolean
  missed?: number
}

/** The answer to `since`. */
export interface Changes {
  head: number
  epoch: string
  messages: Row[]
  upto: number
}

/** The answer to `history`. */
export interface Page {
  head: number
  epoch: string
  messages: Row[]
  older: boolean
  newer: boolean
}

/** Where to read: a page before or after a place, around it, or with neither the newest. */
export interface Question {
  before?: number
  after?: number
  around?: number
}

/** The answer to `chat`. */
export interface Stored {
  seq: number
  rev: number
  timestamp: string
  head: number
  duplicate?: true
}

export interface Head {
  label: string
  head: number
  epoch: string
}

export interface Refusal {
  ok: false
  code: string
  message: string
  retry: boolean
  retry_after_ms?: number
}

/** After a long absence: so many messages are new, and they stand after this place. */
export interface Away {
  after: number
  missed: number
}

/** An own message on its way: `queued` until the server has answered for it, `failed` when it said no for good; `sent` is said to other tabs only. */
export interface Item {
  id: string
  handle: string
  message: string
  timestamp: string
  /** Its place in the queue: when it was said, by this browser's clock. */
  at: number
  state: "queued" | "failed" | "sent"
  /** What the server had against it. */
  reason?: string
  /** The server has asked us to wait until then. */
  not_before?: number
  answer?: Stored
}

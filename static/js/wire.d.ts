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
  /** A line of the room itself: with "title", `message` is the name the room has since; with "rename", the name `handle` has since. */
  kind?: string
  edited?: string
  deleted?: true
  /** The marks of those who reacted, by emoji. */
  reactions?: Record<string, string[]>
  /** An own change to it is on its way: so it will be. */
  pending?: true
}

/** Somebody in the room, by the mark; `handle` is the name last used there. */
export interface Somebody {
  mark: string
  handle?: string
}

/** Who has come and gone since the state before; with `all`, `here` is everybody. */
export interface Presence {
  label: string
  state: number
  here: Somebody[]
  gone: string[]
  count: number
  partial?: boolean
  all?: boolean
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
  people?: Somebody[]
  count?: number
  state?: number
  partial?: boolean
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
  limit?: number
  before?: number
  after?: number
  around?: number
}

/** The answer to `chat`; a change is answered with `rev` and `head` alone. */
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
  reply_to?: number
  /** What it is when it is no message: a change to the one at `seq`. */
  event?: "edit" | "delete" | "react"
  seq?: number
  emoji?: string
  on?: boolean
  /** Who reacts, as the room knows them. */
  mark?: string
}

/** What somebody asks the outbox to send. */
export type Wish = Partial<Pick<Item, "handle" | "message" | "reply_to" | "event" | "seq" | "emoji" | "on" | "mark">>

// The payloads of the protocol, and what the browser stores. docs/protocol.md explains them.

/** A message in the state after its change number `rev`. */
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
    /**
     * Only in system messages. "title": `message` is the new name of the room. "rename": `message`
     * is the new name of the person `handle`.
     */
    kind?: string
    edited?: string
    deleted?: true
    /** The marks of those who reacted, by emoji. */
    reactions?: Record<string, string[]>
    /** Not from the server: the message has an own change that is not stored yet. */
    pending?: true
}

/** Somebody in the room; `handle` is the name that they last used there. */
export interface Person {
    mark: string
    handle?: string
}

/** Who has come and gone since the state before. With `all`, `here` contains everybody. */
export interface Presence {
    label: string
    state: number
    here: Person[]
    gone: string[]
    count: number
    partial?: boolean
    all?: boolean
}

export interface You {
    mark: string
    token?: string
}

/**
 * The answer to `join`, which the page contains too. `older` comes without `after` in the request,
 * `missed` with it.
 */
export interface Joined {
    /** The version of the protocol; servers of release 0.1.0 do not send it. */
    protocol?: number
    label: string
    name: string
    head: number
    epoch: string
    messages: Row[]
    upto: number
    you: You
    older?: boolean
    missed?: number
    people?: Person[]
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

/** A page before, after or around a message; without any of these, the newest page. */
export interface HistoryRequest {
    limit?: number
    before?: number
    after?: number
    around?: number
}

/** The answer to `chat`. The answer to a change contains only `rev` and `head`. */
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

/** A long absence: `missed` messages after the message `after` are new. */
export interface Absence {
    after: number
    missed: number
}

/** An own message or change in the outbox. Stored in localStorage: the keys must not change. */
export interface Item {
    id: string
    handle: string
    message: string
    timestamp: string
    /** The position in the queue: when it was sent, in milliseconds since 1970. */
    at: number
    /** `sent` exists only for a moment, to tell other tabs the answer. */
    state: "queued" | "failed" | "sent"
    /** Why the server has refused it. */
    reason?: string
    /** The server has asked to wait until this time, in milliseconds since 1970. */
    not_before?: number
    answer?: Stored
    reply_to?: number
    /** Only in a change of the message `seq`. */
    event?: "edit" | "delete" | "react"
    seq?: number
    emoji?: string
    on?: boolean
    /** The mark of the person who reacts. */
    mark?: string
}

/** What can be added to the outbox. */
export type Outgoing = Partial<
    Pick<Item, "handle" | "message" | "reply_to" | "event" | "seq" | "emoji" | "on" | "mark">
>

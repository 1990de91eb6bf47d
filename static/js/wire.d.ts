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
     * is the new name of the person `handle`. "moderation": `message` is a complete sentence.
     */
    kind?: string
    details?: Details
    edited?: string
    deleted?: true
    /** The marks of those who reacted, by emoji. */
    reactions?: Record<string, string[]>
    /** Not from the server: the message has an own change that is not stored yet. */
    pending?: true
}

export type Role = "host" | "moderator"

/** The rules of a room; most keys are left out while they have their default. */
export interface Rules {
    /** How long messages are kept; 0 for ever. */
    expiry_seconds: number
    private?: true
    locked?: true
    naming?: "hosts"
    slow_mode_seconds?: number
    password?: true
    /** By the mark of the person. */
    roles?: Record<string, Role>
}

/** In a message of the kind "moderation": what was done. In a deleted message: who deleted it. */
export interface Details {
    action: string
    /** The mark of the person on whom somebody acted. */
    target?: string
    /** The end of a sanction. */
    until?: string
    address?: true
    /** The rules after the action. */
    rules?: Rules
}

/** What `moderate` performs. */
export interface Moderation {
    action: string
    target?: string
    seconds?: number
    address?: boolean
    by?: "all" | "hosts"
    password?: string
    secret?: string
}

/** The answer to `moderate`. */
export interface Moderated {
    rev?: number
    head?: number
    secret?: string
    count?: number
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
    /** Until when this person is muted; null: the mute has no end. */
    muted_until?: string | null
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
    /** Up to this seq no messages exist any more; not sent while it is 0. */
    floor?: number
    messages: Row[]
    upto: number
    you: You
    older?: boolean
    missed?: number
    people?: Person[]
    count?: number
    state?: number
    partial?: boolean
    /** Servers before moderation do not send it. */
    rules?: Rules
}

/** The answer to `since`. */
export interface Changes {
    head: number
    epoch: string
    /** Up to this seq no messages exist any more; not sent while it is 0. */
    floor?: number
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
    /** Up to this seq no messages exist any more; not sent while it is 0. */
    floor?: number
}

export interface Refusal {
    ok: false
    code: string
    message: string
    retry: boolean
    retry_after_ms?: number
    /** With `name_taken`: a name that is free. */
    suggestion?: string
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
    /** The name is taken: one under which it can be sent instead. */
    suggestion?: string
    /** The server has asked to wait until this time, in milliseconds since 1970. */
    not_before?: number
    answer?: Stored
    reply_to?: number
    /** Only in a change of the message `seq`. */
    event?: "edit" | "delete" | "react"
    seq?: number
    emoji?: string
    on?: boolean
    /** The mark of the person who reacts or deletes. */
    mark?: string
}

/** What can be added to the outbox. */
export type Outgoing = Partial<
    Pick<Item, "handle" | "message" | "reply_to" | "event" | "seq" | "emoji" | "on" | "mark">
>

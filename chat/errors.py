"""Refusals: why something was not done, as a code for programs and a sentence for people."""

from datetime import datetime
from typing import ClassVar


class Refusal(Exception):
    """Something was not done. Subclasses set the code, the HTTP status and the default sentence.

    `retry` is true when the very same request may succeed later; `retry_after_ms` is how long the
    client should wait before it tries again; `suggestion` is a value to try instead.
    """

    code: ClassVar[str]
    status: ClassVar[int]
    retry: ClassVar[bool] = False
    retry_after_ms: int | None = None
    suggestion: str | None = None
    message: ClassVar[str]

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or self.message)


class ServerError(Refusal):
    """An unexpected exception on the server."""

    code = "server_error"
    status = 500
    retry = True
    message = "Something went wrong on the server."


class BadRequest(Refusal):
    """A payload with missing, unknown or malformed parts."""

    code = "bad_request"
    status = 400
    message = "The server could not understand this request."


class Empty(Refusal):
    """A text without visible characters."""

    code = "empty"
    status = 400
    message = "There is nothing to send."


class TooLong(Refusal):
    """A text above its limit."""

    code = "too_long"
    status = 413
    message = "This is too long."


class NotJoined(Refusal):
    """An event that needs a room, from a connection that is in none."""

    code = "not_joined"
    status = 409
    message = "Join a room first."


class NotFound(Refusal):
    """A room or message that does not exist."""

    code = "not_found"
    status = 404
    message = "There is no such room or message."


class NotYours(Refusal):
    """A change to a message of another author."""

    code = "not_yours"
    status = 403
    message = "Only the person who wrote this message can change it."


class Gone(Refusal):
    """A change to a message that has been deleted."""

    code = "gone"
    status = 410
    message = "This message has been deleted."


class IdTaken(Refusal):
    """A message whose id was used for another text."""

    code = "id_taken"
    status = 409
    message = "Another message already has this id."


class TooManyReactions(Refusal):
    """A reaction above the limits of a message."""

    code = "full"
    status = 409
    message = "Too many reactions."


class Busy(Refusal):
    """The database is locked, full or unreachable at the moment."""

    code = "busy"
    status = 503
    retry = True
    retry_after_ms = 5000
    message = "The server is busy."


class RateLimited(Refusal):
    """A request above a rate limit."""

    code = "rate_limited"
    status = 429
    retry = True
    message = "There are too many requests. Please wait a moment."

    def __init__(self, message: str | None = None, *, retry_after_ms: int) -> None:
        super().__init__(message)
        self.retry_after_ms = retry_after_ms


class TooManyConnections(Refusal):
    """A connection above the number that a person or an address may have open at a time."""

    code = "too_many_connections"
    status = 503
    retry = True
    retry_after_ms = 10_000
    message = "You have this chat open too many times. Close it in another tab or window."


class Draining(Refusal):
    """A readiness check of a worker that is about to stop."""

    code = "draining"
    status = 503
    retry = True
    message = "This worker is about to stop."


class Forbidden(Refusal):
    """An action of a host or moderator, by somebody without that role."""

    code = "forbidden"
    status = 403
    message = "Only hosts and moderators of this room can do this."


class Muted(Refusal):
    """A write by a person whom a host has muted. `until` is None when it has no end."""

    code = "muted"
    status = 403
    message = "A host has muted you in this room."

    def __init__(self, message: str | None = None, *, until: datetime | None = None) -> None:
        super().__init__(message)
        self.until = until


class Removed(Refusal):
    """A person whom a host has removed from the room for some minutes."""

    code = "removed"
    status = 403
    message = "A host has removed you from this room. You can come back in a few minutes."

    def __init__(self, message: str | None = None, *, retry_after_ms: int | None = None) -> None:
        super().__init__(message)
        self.retry_after_ms = retry_after_ms


class Banned(Refusal):
    """A person or an address that a host has banned from the room."""

    code = "banned"
    status = 403
    message = "A host has banned you from this room."


class RoomLocked(Refusal):
    """A write in a room in which only hosts may post."""

    code = "locked"
    status = 403
    message = "This room is locked: only hosts can post."


class SlowMode(Refusal):
    """A message too soon after the previous one of the same person, in a room with slow mode."""

    code = "slow_mode"
    status = 429
    retry = True
    message = "This room is in slow mode. Please wait before your next message."

    def __init__(self, message: str | None = None, *, retry_after_ms: int | None = None) -> None:
        super().__init__(message)
        self.retry_after_ms = retry_after_ms


class Closed(Refusal):
    """A room that its host has closed. Its label is free again at `free_at`."""

    code = "closed"
    status = 410
    message = "The host has closed this room."

    def __init__(self, message: str | None = None, *, free_at: datetime | None = None) -> None:
        super().__init__(message)
        self.free_at = free_at


class NameTaken(Refusal):
    """A handle that another person in the room holds, or one that looks the same."""

    code = "name_taken"
    status = 409
    message = "Somebody else in this room has this name."

    def __init__(self, handle: str, suggestion: str | None = None) -> None:
        sentence = f'The name "{handle}" is taken in this room.'
        super().__init__(sentence if suggestion is None else f'{sentence} Use "{suggestion}"?')
        self.handle = handle
        self.suggestion = suggestion


class PasswordRequired(Refusal):
    """A room with a password, from somebody who has not given it."""

    code = "password_required"
    status = 401
    message = "This room has a password."


class WrongPassword(Refusal):
    """A wrong password of a room."""

    code = "wrong_password"
    status = 403
    message = "This password is not right."


class HostLinkRefused(Refusal):
    """A host link that was used, has expired, or belongs to another room."""

    code = "host_link_refused"
    status = 403
    message = "This host link doesn't belong to this room."

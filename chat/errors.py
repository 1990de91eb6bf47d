"""Refusals: why something was not done, as a code for programs and a sentence for people."""

from typing import ClassVar


class Refusal(Exception):
    """Something was not done. Subclasses set the code, the HTTP status and the default sentence.

    `retry` is true when the very same request may succeed later; `retry_after_ms` is how long the
    client should wait before it tries again.
    """

    code: ClassVar[str]
    status: ClassVar[int]
    retry: ClassVar[bool] = False
    retry_after_ms: ClassVar[int | None] = None
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


class Draining(Refusal):
    """A readiness check of a worker that is about to stop."""

    code = "draining"
    status = 503
    retry = True
    message = "This worker is about to stop."

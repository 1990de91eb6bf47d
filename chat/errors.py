"""The ways we say no: a code for programs, a sentence for people, and whether to try again."""


class Refused(Exception):
    """Something is not done, and the answer says why.

    The first sentence of each class below is what the person reads. `code` is for programs, `status` for HTTP; `retry`
    says whether the very same request may succeed later, `retry_after_ms` how many milliseconds to wait before.
    """

    code, status, retry = "server_error", 500, True
    retry_after_ms: int | None = None

    def __init__(self, sentence: str | None = None) -> None:
        super().__init__(sentence or (self.__doc__ or "").partition("\n")[0])


class ServerError(Refused):
    """Something went wrong here. Please try again."""


class BadRequest(Refused):
    """This is not something Confab understands."""

    code, status, retry = "bad_request", 400, False


class Empty(Refused):
    """There is nothing in it to send."""

    code, status, retry = "empty", 400, False


class TooLong(Refused):
    """That is too long."""

    code, status, retry = "too_long", 413, False


class NotJoined(Refused):
    """Join a room first."""

    code, status, retry = "not_joined", 409, False


class NotFound(Refused):
    """There is no such room or message."""

    code, status, retry = "not_found", 404, False


class NotYours(Refused):
    """Only the person who wrote this can change it."""

    code, status, retry = "not_yours", 403, False


class Gone(Refused):
    """This message has been deleted."""

    code, status, retry = "gone", 410, False


class IdTaken(Refused):
    """Another message already has this id."""

    code, status, retry = "id_taken", 409, False


class Full(Refused):
    """There is no room for more of this."""

    code, status, retry = "full", 409, False


class Busy(Refused):
    """The server is busy."""

    code, status, retry = "busy", 503, True
    retry_after_ms = 5000


class CannotStart(SystemExit):
    """A start that cannot go on; the sentence says what to do. After exit code 3 gunicorn does not try again."""

    def __init__(self, sentence: str) -> None:
        super().__init__(3)
        self.sentence = sentence

"""The ways we say no: a code for programs, a sentence for people, and whether to try again."""


class Refused(Exception):
    """Something is not done. What each class below says of itself is what the person reads."""

    code, status, retry = "server_error", 500, True  # `retry`: whether the very same request may succeed later
    retry_after_ms: int | None = None

    def __init_subclass__(cls, code: str = code, status: int = status) -> None:
        cls.code, cls.status, cls.retry = code, status, status >= 500

    def __init__(self, sentence: str | None = None) -> None:
        super().__init__(sentence or self.__doc__)


class ServerError(Refused):
    """Something went wrong here. Please try again."""


class BadRequest(Refused, code="bad_request", status=400):
    """This is not something Confab understands."""


class Empty(Refused, code="empty", status=400):
    """There is nothing in it to send."""


class TooLong(Refused, code="too_long", status=413):
    """That is too long."""


class NotJoined(Refused, code="not_joined", status=409):
    """Join a room first."""


class NotFound(Refused, code="not_found", status=404):
    """There is no such room or message."""


class NotYours(Refused, code="not_yours", status=403):
    """Only the person who wrote this can change it."""


class Gone(Refused, code="gone", status=410):
    """This message has been deleted."""


class IdTaken(Refused, code="id_taken", status=409):
    """Another message already has this id."""


class Full(Refused, code="full", status=409):
    """There is no room for more of this."""


class Busy(Refused, code="busy", status=503):
    """The server is busy."""

    retry_after_ms = 5000


class Draining(Refused, code="draining", status=503):
    """This worker is about to end. Another one will answer."""


class CannotStart(SystemExit):
    """A start that cannot go on; the sentence says what to do. After exit code 3 gunicorn does not try again."""

    def __init__(self, sentence: str) -> None:
        super().__init__(3)
        self.sentence = sentence

"""The ways we say no: a code for programs, a sentence for people, and whether to try again."""


class Refusal(Exception):
    """Something is not done. What each class below says of itself is what the person reads."""

    code, status, retry = (
        "server_error",
        500,
        True,
    )  # `retry`: whether the very same request may succeed later
    retry_after_ms: int | None = None

    def __init_subclass__(cls, code: str = code, status: int = status) -> None:
        cls.code, cls.status, cls.retry = code, status, status >= 500

    def __init__(self, sentence: str | None = None) -> None:
        super().__init__(sentence or self.__doc__)


class ServerError(Refusal):
    """Something went wrong here. Please try again."""


class BadRequest(Refusal, code="bad_request", status=400):
    """This is not something Confab understands."""


class Empty(Refusal, code="empty", status=400):
    """There is nothing in it to send."""


class TooLong(Refusal, code="too_long", status=413):
    """That is too long."""


class NotJoined(Refusal, code="not_joined", status=409):
    """Join a room first."""


class NotFound(Refusal, code="not_found", status=404):
    """There is no such room or message."""


class NotYours(Refusal, code="not_yours", status=403):
    """Only the person who wrote this can change it."""


class Gone(Refusal, code="gone", status=410):
    """This message has been deleted."""


class IdTaken(Refusal, code="id_taken", status=409):
    """Another message already has this id."""


class TooManyReactions(Refusal, code="full", status=409):
    """There is no room for more of this."""


class Busy(Refusal, code="busy", status=503):
    """The server is busy."""

    retry_after_ms = 5000


class Draining(Refusal, code="draining", status=503):
    """This worker is about to end. Another one will answer."""


class StartupError(SystemExit):
    """A start that cannot go on; the sentence says what to do. After exit code 3 gunicorn does not try again."""

    def __init__(self, sentence: str) -> None:
        super().__init__(3)
        self.sentence = sentence

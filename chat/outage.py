"""Outages: the log says once when something stops working, and when it works again."""

import logging
import time
from collections.abc import Callable


class Outage:
    """The state of one thing that can fail, such as the connection to Redis."""

    def __init__(self, log: logging.Logger, clock: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._clock = clock
        self._began_at: float | None = None

    @property
    def is_ongoing(self) -> bool:
        """Whether it has failed and has not worked since."""
        return self._began_at is not None

    def begin(self, message: str, *arguments: object) -> None:
        """Log why it does not work, unless that is known already."""
        if self._began_at is None:
            self._began_at = self._clock()
            self._log.warning(message, *arguments)

    def end(self, message: str) -> None:
        """Log that it works again, if it did not; `message` has a %.1f for the seconds."""
        if self._began_at is not None:
            seconds = self._clock() - self._began_at
            self._began_at = None
            self._log.warning(message, seconds)

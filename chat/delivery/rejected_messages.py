"""Counts messages of the bus that are dropped, and logs their number once in a while."""

import logging
from collections.abc import Callable
from math import inf

REPORT_SECONDS = 1.0
"""How often rejected messages of one kind are logged at most."""

log = logging.getLogger(__name__)


class RejectedMessages:
    """Counts messages that are dropped for one reason, and logs their number once in a while."""

    def __init__(self, clock: Callable[[], float], reason: str) -> None:
        self.total = 0
        self._clock = clock
        self._reason = reason
        self._reported = 0
        self._reported_at = -inf

    def count(self) -> None:
        """Count a message."""
        self.total += 1
        self.report()

    def report(self) -> None:
        """Log how many messages were dropped since the last report, if it is time for that."""
        now = self._clock()
        if self.total == self._reported or now - self._reported_at < REPORT_SECONDS:
            return
        log.warning(
            "%d messages on the Redis channels were dropped: %s",
            self.total - self._reported,
            self._reason,
        )
        self._reported = self.total
        self._reported_at = now

"""The time of the installation, which is that of its database: the clocks of hosts may differ.

`correct` is called with the difference; see storage/database_clock.py.
"""

import time
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

MAX_IGNORED_SECONDS = 1.0
"""A smaller difference has no effect: hosts that synchronize their clocks use them as they are."""

MAX_IGNORED_AFTERWARDS_SECONDS = 0.5
"""The same while the clock is corrected, so that a difference near the first bound does not make
the time jump back and forth."""


class _Measured(NamedTuple):
    time: datetime
    monotonic_seconds: float


_measured: _Measured | None = None  # while the clock is corrected; a process has one clock


def utc_now() -> datetime:
    """Return the time of the installation."""
    if _measured is None:
        return datetime.now(UTC)
    # Whoever sets the clock of this host meanwhile does not change the time.
    return _measured.time + timedelta(seconds=time.monotonic() - _measured.monotonic_seconds)


def correct(ahead_seconds: float) -> None:
    """Correct the clock of this host, which is so many seconds ahead of the database's."""
    global _measured  # the clock of a process is global
    max_ignored = MAX_IGNORED_SECONDS if _measured is None else MAX_IGNORED_AFTERWARDS_SECONDS
    if abs(ahead_seconds) < max_ignored:
        _measured = None
        return
    installation_time = datetime.now(UTC) - timedelta(seconds=ahead_seconds)
    _measured = _Measured(installation_time, time.monotonic())


def seconds_since(signed_at: datetime) -> float:
    """Return the age of a signature, which any host may have made with an uncorrected clock.

    Never negative: a time in the future only means that the clock of that host is ahead.
    """
    return max(0.0, time.time() - signed_at.timestamp())

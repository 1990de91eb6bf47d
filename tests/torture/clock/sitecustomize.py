"""Shifts the clock of this process by as many seconds as a file says; timers are not affected.

Python imports this module at its start when its folder is in PYTHONPATH. CLOCK names the file.
"""

import datetime
import os
import time
from datetime import datetime as RealDatetime  # noqa: N812  # a class
from pathlib import Path
from typing import Any

real_time = time.time
FILE = Path(os.environ["CLOCK"])


def shift_seconds() -> float:
    """Return by how many seconds the clock is ahead."""
    return float(FILE.read_text() or 0)


class AnyDatetime(type):
    """Makes every datetime an instance of the shifted class."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, RealDatetime)


class ShiftedDatetime(RealDatetime, metaclass=AnyDatetime):
    """A datetime whose `now` is shifted."""

    @classmethod
    def now(cls, tz: Any = None) -> Any:
        """Return the shifted time of day."""
        return RealDatetime.now(tz) + datetime.timedelta(seconds=shift_seconds())


def shifted_time() -> float:
    """Return the shifted time of day, in seconds since the epoch."""
    return real_time() + shift_seconds()


time.time = shifted_time
datetime.datetime = ShiftedDatetime  # type: ignore[misc]

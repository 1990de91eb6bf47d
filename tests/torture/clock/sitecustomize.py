"""A time of day that is wrong by as many seconds as a file says; timers run as before."""

import datetime
import os
import time
from datetime import datetime as RealDatetime  # noqa: N812  # a class, whatever its name
from pathlib import Path
from typing import Any

real_time = time.time
FILE = Path(os.environ["CLOCK"])


def wrong_by() -> float:
    """How many seconds."""
    return float(FILE.read_text() or 0)


class Like(type):
    """Every datetime is one of ours."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, RealDatetime)


class WrongDatetime(RealDatetime, metaclass=Like):
    """Only its now is different."""

    @classmethod
    def now(cls, tz: Any = None) -> Any:
        """What the clock on the wall shows."""
        return RealDatetime.now(tz) + datetime.timedelta(seconds=wrong_by())


time.time = lambda: real_time() + wrong_by()
datetime.datetime = WrongDatetime  # type: ignore[misc]

"""The hub's watchdog: says when one greenlet kept all the others of its worker waiting, and where it was."""

import logging
import sys
import traceback
from pathlib import Path

import eventlet
from eventlet.patcher import original

BEAT_SECONDS = 0.05
LATE_SECONDS = 0.2

log = logging.getLogger(__name__)


class Watchdog:
    """A greenlet that shows the hub is running, and a real thread that looks on."""

    def __init__(self) -> None:
        self._time = original("time")
        self._hub = original("threading").get_ident()
        self._beat = self._time.monotonic()
        self._queued = _seconds_queued()
        self._seen: str | None = None  # where the hub was when it was late

    def start(self) -> None:
        """Watch from now on, on the thread that calls this."""
        eventlet.spawn(self._show)
        original("threading").Thread(target=self._watch, daemon=True).start()

    def _show(self) -> None:
        while True:
            eventlet.sleep(BEAT_SECONDS)
            queued, self._queued = self._queued, _seconds_queued()
            late = self._time.monotonic() - self._beat - BEAT_SECONDS - (self._queued - queued)
            self._beat = self._time.monotonic()
            seen, self._seen = self._seen, None
            if late > LATE_SECONDS:
                log.warning(
                    "Everybody on this worker waited %.0f ms:\n%s",
                    late * 1000,
                    seen or "(not seen where)",
                )

    def _watch(self) -> None:
        # A real thread must not log: the locks of the log belong to the greenlets.
        while True:
            self._time.sleep(BEAT_SECONDS)
            frame = sys._current_frames().get(self._hub)
            if (
                self._time.monotonic() - self._beat > LATE_SECONDS
                and self._seen is None
                and frame is not None
            ):
                self._seen = "".join(traceback.format_stack(frame)[-8:])


def _seconds_queued() -> float:
    """How long this thread has waited for a processor in all: a busy machine is not our greenlets' fault."""
    try:
        return int(Path("/proc/thread-self/schedstat").read_text().split()[1]) / 1e9
    except OSError:
        return 0.0  # not a Linux that says

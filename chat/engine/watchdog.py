"""The watchdog: logs where a greenlet blocked the event loop of its worker."""

import logging
import os
import sys
import traceback

import eventlet
from eventlet.patcher import original

BEAT_SECONDS = 0.1

MAX_DELAY_SECONDS = 0.2
"""A beat that is later than this is logged."""

LOGGED_STACK_FRAMES = 8
SCHEDULE_STATISTICS_BYTES = 100

log = logging.getLogger(__name__)


class Watchdog:
    """A greenlet that beats while the event loop runs, and a thread that notices missing beats."""

    def __init__(self) -> None:
        self._time = original("time")
        self._loop_thread = original("threading").get_ident()
        self._last_beat = self._time.monotonic()
        self._schedule_statistics = _open_schedule_statistics()
        self._queued_seconds = self._read_queued_seconds()
        self._stack: str | None = None  # of the event loop's thread, when a beat was missing

    def start(self) -> None:
        """Watch the event loop of the thread that calls this, from now on."""
        eventlet.spawn(self._beat)
        original("threading").Thread(target=self._watch, daemon=True).start()

    def _beat(self) -> None:
        while True:
            eventlet.sleep(BEAT_SECONDS)
            queued_before = self._queued_seconds
            self._queued_seconds = self._read_queued_seconds()
            waited_for_cpu = self._queued_seconds - queued_before
            now = self._time.monotonic()
            delay = now - self._last_beat - BEAT_SECONDS - waited_for_cpu
            self._last_beat = now
            stack = self._stack
            self._stack = None
            if delay > MAX_DELAY_SECONDS:
                log.warning(
                    "The event loop of this worker was blocked for %.0f ms:\n%s",
                    delay * 1000,
                    stack or "(its stack is unknown)",
                    extra={"multiline": True},  # see chat/logs.py
                )

    def _watch(self) -> None:
        """Record the stack of the event loop's thread when a beat is missing.

        This runs in a real thread, which must not log: the locks of the log belong to greenlets.
        """
        while True:
            self._time.sleep(BEAT_SECONDS)
            is_late = self._time.monotonic() - self._last_beat > MAX_DELAY_SECONDS
            if not is_late or self._stack is not None:
                continue
            frame = sys._current_frames().get(self._loop_thread)
            if frame is not None:
                self._stack = "".join(traceback.format_stack(frame)[-LOGGED_STACK_FRAMES:])

    def _read_queued_seconds(self) -> float:
        """Return how long the thread has waited for a CPU in all; 0 where this is not reported.

        On a busy machine, that is not the fault of a greenlet.
        """
        if self._schedule_statistics is None:
            return 0.0
        fields = os.pread(self._schedule_statistics, SCHEDULE_STATISTICS_BYTES, 0).split()
        return int(fields[1]) / 1e9


def _open_schedule_statistics() -> int | None:
    """Open what Linux counts about this thread; None on other systems.

    It stays open: to open it ten times a second would be a tenth of what an idle worker does.
    """
    try:
        return os.open("/proc/thread-self/schedstat", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None

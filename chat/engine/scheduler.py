"""Schedules greenlets fairly: in the order of their requests, and in time slices.

eventlet's hub runs all greenlets that are ready before it looks at timers and sockets again. When
hundreds of packets arrive at once, everything else would wait until all of them are handled.
"""

import sys
from collections import deque
from collections.abc import Callable
from functools import cache
from time import monotonic
from typing import Any

from chat.engine.concurrency import async_mode, yield_now

TIME_SLICE_SECONDS = 0.02
"""The longest that queued work runs before the hub handles timers and sockets again."""

MAX_IDLE_GREENLETS = 50


def wait_turn() -> None:
    """Wait until earlier work is done. Call it before each piece of work that a client requests."""
    if async_mode() == "eventlet":
        fair_scheduler().wait_turn()
    else:
        yield_now()


@cache
def fair_scheduler() -> "FairScheduler":
    """Return the scheduler of this process. Only under eventlet."""
    return FairScheduler(sys.modules["eventlet"].hubs.get_hub())


class FairScheduler:
    """Runs queued work and waiting greenlets in order, for one time slice per hub iteration."""

    def __init__(self, hub: Any) -> None:
        self._hub = hub
        self._greenlet = sys.modules["greenlet"]
        self._queue: deque[Any] = deque()  # greenlets that wait for their turn, and functions
        self._idle: list[Any] = []  # greenlets to reuse: a new one costs as much as a small event
        self._is_scheduled = False

    def spawn(self, work: Callable[[], None]) -> None:
        """Call `work` in a greenlet when its turn comes."""
        self._queue.append(work)
        self._schedule()

    def wait_turn(self) -> None:
        """Suspend this greenlet until its turn comes."""
        current = self._greenlet.getcurrent()
        self._queue.append(current)
        self._schedule()
        try:
            self._hub.switch()
        except BaseException:
            # Killed while waiting. If it is no longer queued, the exception is its own.
            if current in self._queue:
                self._queue.remove(current)
            raise

    def _schedule(self) -> None:
        if self._queue and not self._is_scheduled:
            self._is_scheduled = True
            self._hub.schedule_call_global(0, self._run_slice)

    def _run_slice(self) -> None:
        self._is_scheduled = False
        end = monotonic() + TIME_SLICE_SECONDS
        try:
            while self._queue and monotonic() < end:
                queued = self._queue.popleft()
                if isinstance(queued, self._greenlet.greenlet):
                    queued.switch()
                else:
                    self._idle_greenlet().switch(queued)
        finally:
            self._schedule()  # also when one of them has raised an exception

    def _idle_greenlet(self) -> Any:
        if self._idle:
            return self._idle.pop()
        return self._greenlet.greenlet(self._work)

    def _work(self, work: Callable[[], None]) -> None:
        """Do one piece of work after another; in between, wait among the idle greenlets."""
        while True:
            work()
            if len(self._idle) >= MAX_IDLE_GREENLETS:
                return
            self._idle.append(self._greenlet.getcurrent())
            work = self._hub.greenlet.switch()  # returns what the next switch() passes

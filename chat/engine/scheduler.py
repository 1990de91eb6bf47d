"""Schedules greenlets fairly: one client address after the other, and in time slices.

eventlet's hub runs all greenlets that are ready before it looks at timers and sockets again. When
hundreds of packets arrive at once, everything else would wait until all of them are handled.

Work is queued by client address, and the queues take turns (round robin). So an address that sends
hundreds of requests at once delays its own, and others by one piece of work at a time.
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


def wait_turn(address: str = "") -> None:
    """Wait for a turn. Call it before each piece of work that a client requests.

    `address` is that of the client, "" if it is not known.
    """
    if async_mode() == "eventlet":
        fair_scheduler().wait_turn(address)
    else:
        yield_now()


@cache
def fair_scheduler() -> "FairScheduler":
    """Return the scheduler of this process. Only under eventlet."""
    return FairScheduler(sys.modules["eventlet"].hubs.get_hub())


class FairScheduler:
    """Runs queued work and waiting greenlets, for one time slice per hub iteration.

    The work of one address is done in order.
    """

    def __init__(self, hub: Any) -> None:
        self._hub = hub
        self._greenlet = sys.modules["greenlet"]
        # By address: greenlets that wait for their turn, and functions. No queue is empty.
        self._queues: dict[str, deque[Any]] = {}
        self._addresses: deque[str] = deque()  # those with a queue, in the order of their turns
        self._idle: list[Any] = []  # greenlets to reuse: a new one costs as much as a small event
        self._is_scheduled = False

    def spawn(self, work: Callable[[], None], address: str = "") -> None:
        """Call `work` in a greenlet when its turn comes."""
        self._append(address, work)

    def wait_turn(self, address: str = "") -> None:
        """Suspend this greenlet until its turn comes."""
        current = self._greenlet.getcurrent()
        self._append(address, current)
        try:
            self._hub.switch()
        except BaseException:
            # Killed while waiting. If it is no longer queued, the exception is its own.
            self._remove(address, current)
            raise

    def _append(self, address: str, item: Any) -> None:
        queue = self._queues.get(address)
        if queue is None:
            self._queues[address] = deque((item,))
            self._addresses.append(address)
        else:
            queue.append(item)
        self._schedule()

    def _remove(self, address: str, item: Any) -> None:
        queue = self._queues.get(address)
        if queue is None or item not in queue:
            return
        queue.remove(item)
        if not queue:
            del self._queues[address]
            self._addresses.remove(address)

    def _pop(self) -> Any:
        """Remove and return the first item of the address whose turn it is."""
        address = self._addresses.popleft()
        queue = self._queues[address]
        item = queue.popleft()
        if queue:
            self._addresses.append(address)
        else:
            del self._queues[address]
        return item

    def _schedule(self) -> None:
        if self._addresses and not self._is_scheduled:
            self._is_scheduled = True
            self._hub.schedule_call_global(0, self._run_slice)

    def _run_slice(self) -> None:
        self._is_scheduled = False
        end = monotonic() + TIME_SLICE_SECONDS
        try:
            while self._addresses and monotonic() < end:
                item = self._pop()
                if isinstance(item, self._greenlet.greenlet):
                    item.switch()
                else:
                    self._idle_greenlet().switch(item)
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

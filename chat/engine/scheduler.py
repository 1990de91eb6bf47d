"""What runs our greenlets or threads: found out, never decided here; and whose turn it is among greenlets."""

import socket
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import cache
from time import monotonic
from typing import Any, Literal

TURN_SECONDS = 0.02  # of work in one go; then timers, and who asks for less, come in between


def async_mode() -> Literal["eventlet", "gevent", "threading"]:
    """ "eventlet" or "gevent" where a server has patched the standard library for it before us, else "threading"."""
    eventlet = sys.modules.get("eventlet.patcher")
    if eventlet is not None and eventlet.is_monkey_patched("socket"):
        return "eventlet"
    gevent = sys.modules.get("gevent.monkey")
    if gevent is not None and gevent.is_module_patched("socket"):
        return "gevent"
    return "threading"


def time_limit(
    seconds: float, connection: socket.socket | None = None
) -> AbstractContextManager[Any]:
    """Raise TimeoutError when reading from a connection takes longer in all than `seconds`."""
    mode = async_mode()
    if mode != "threading":
        timeout: AbstractContextManager[Any] = sys.modules[mode].Timeout(seconds, TimeoutError())
        return timeout
    if connection is None:
        return nullcontext()
    return _close_for_reading_after(seconds, connection)


@contextmanager
def _close_for_reading_after(seconds: float, connection: socket.socket) -> Iterator[None]:
    """Raise TimeoutError in a thread: closing its connection for reading wakes it up, as nothing else does.

    The timeout of a socket would not be enough: it starts again with each byte that arrives.
    """
    expired = threading.Event()

    def close_for_reading() -> None:
        expired.set()
        with suppress(OSError):  # the client may have gone
            socket.socket.shutdown(
                connection, socket.SHUT_RD
            )  # that of an SSLSocket would end the encryption

    timer = threading.Timer(seconds, close_for_reading)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        if expired.is_set():
            raise TimeoutError


def yield_now() -> None:
    """Let everybody go on who is ready now."""
    if (mode := async_mode()) != "threading":
        sys.modules[mode].sleep(0)


def wait_turn() -> None:
    """Wait for one's turn: called before each piece of work that somebody outside asks for.

    However many come at once, and however much one of them asks for, nobody is kept waiting for all of it.
    """
    if async_mode() == "eventlet":
        turns().wait()
    else:
        yield_now()


@cache
def turns() -> "FairScheduler":
    """Who gives the turns in this process, under eventlet."""
    return FairScheduler(sys.modules["eventlet"].hubs.get_hub())


class FairScheduler:
    """Gives turns in the order asked, a few in each round of eventlet's hub: by itself, it runs all who are ready."""

    def __init__(self, hub: Any) -> None:
        self._hub = hub
        self._greenlet = sys.modules["greenlet"]
        self._waiting: deque[Any] = deque()  # greenlets, and work for one
        self._idle: list[Any] = []  # greenlets to work: a new one costs as much as some of the work
        self._called = False

    def start(self, work: Callable[[], None]) -> None:
        """Have something done in a greenlet when it is its turn."""
        self._waiting.append(work)
        self._call()

    def wait(self) -> None:
        """Let others go first who asked before."""
        this = self._greenlet.getcurrent()
        self._waiting.append(this)
        self._call()
        try:
            self._hub.switch()
        except BaseException:
            if this in self._waiting:  # else it was its turn, and the exception is its own
                self._waiting.remove(this)
            raise

    def _call(self) -> None:
        if self._waiting and not self._called:
            self._called = True
            self._hub.schedule_call_global(0, self._give)

    def _give(self) -> None:
        self._called = False
        end = monotonic() + TURN_SECONDS
        try:
            while self._waiting and monotonic() < end:
                next_one = self._waiting.popleft()
                if isinstance(next_one, self._greenlet.greenlet):
                    next_one.switch()
                else:
                    (
                        self._idle.pop() if self._idle else self._greenlet.greenlet(self._work)
                    ).switch(next_one)
        finally:
            self._call()  # also when one of them died of something

    def _work(self, work: Callable[[], None]) -> None:
        work()
        while len(self._idle) < 50:
            self._idle.append(self._greenlet.getcurrent())
            self._hub.greenlet.switch()()

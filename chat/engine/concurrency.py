"""Detects whether eventlet, gevent or threads run the server, and yields and times out accordingly.

Nothing here imports eventlet or gevent: only the server that loads the app decides to use them.
"""

import importlib
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import Any, Literal, TypeVar, cast

T = TypeVar("T")


def async_mode() -> Literal["eventlet", "gevent", "threading"]:
    """Return what the server has patched the standard library for, else "threading"."""
    eventlet = sys.modules.get("eventlet.patcher")
    if eventlet is not None and eventlet.is_monkey_patched("socket"):
        return "eventlet"
    gevent = sys.modules.get("gevent.monkey")
    if gevent is not None and gevent.is_module_patched("socket"):
        return "gevent"
    return "threading"


def start_greenlet_later(seconds: float, function: Callable[..., object], *arguments: Any) -> None:
    """Call a function in a greenlet, after so many seconds. Not for threads."""
    if async_mode() == "gevent":
        sys.modules["gevent"].spawn_later(seconds, function, *arguments)
    else:
        sys.modules["eventlet"].spawn_after(seconds, function, *arguments)


def yield_now() -> None:
    """Let all greenlets run that are ready. It does nothing for threads."""
    mode = async_mode()
    if mode != "threading":
        sys.modules[mode].sleep(0)


def pause(seconds: float) -> None:
    """Let other greenlets or threads run for so many seconds."""
    mode = async_mode()
    if mode == "threading":
        time.sleep(seconds)
    else:
        sys.modules[mode].sleep(seconds)


def run_in_thread(function: Callable[..., T], *arguments: Any) -> T:
    """Return what a function returns that computes for long, without blocking other greenlets.

    It runs in a real thread, and must not use anything that the server has patched.
    """
    mode = async_mode()
    if mode == "threading":
        return function(*arguments)
    if mode == "gevent":
        pool = sys.modules["gevent"].get_hub().threadpool
        return cast(T, pool.apply(function, arguments))
    return cast(T, importlib.import_module("eventlet.tpool").execute(function, *arguments))


class Turns:
    """Lets only so many greenlets or threads do something at a time; a bounded number may wait."""

    def __init__(self, at_once: int, max_waiting: int) -> None:
        self._free = threading.Semaphore(at_once)
        self._places = threading.Semaphore(at_once + max_waiting)

    def enter(self) -> bool:
        """Wait for a turn. Returns False at once when too many are waiting already."""
        if not self._places.acquire(blocking=False):
            return False
        try:
            self._free.acquire()
        except BaseException:  # also a timeout or the end of the greenlet, while it waits
            self._places.release()
            raise
        return True

    def leave(self) -> None:
        """End a turn."""
        self._free.release()
        self._places.release()


def time_limit(
    seconds: float, connection: socket.socket | None = None
) -> AbstractContextManager[Any]:
    """Raise TimeoutError in a block that takes longer than `seconds`.

    Greenlets are interrupted wherever they wait. Threads are interrupted only while they read from
    `connection`; without one, they have no limit.
    """
    mode = async_mode()
    if mode != "threading":
        timeout: AbstractContextManager[Any] = sys.modules[mode].Timeout(seconds, TimeoutError())
        return timeout
    if connection is None:
        return nullcontext()
    return _close_for_reading_after(seconds, connection)


@contextmanager
def _close_for_reading_after(seconds: float, connection: socket.socket) -> Iterator[None]:
    """Raise TimeoutError in a thread, by closing the connection that it reads from.

    The timeout of a socket is not enough: it starts again with each byte that arrives.
    """
    expired = threading.Event()

    def close_for_reading() -> None:
        expired.set()
        with suppress(OSError):  # the client may have disconnected
            # The same method of an SSLSocket would end the encryption.
            socket.socket.shutdown(connection, socket.SHUT_RD)

    timer = threading.Timer(seconds, close_for_reading)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        if expired.is_set():
            raise TimeoutError

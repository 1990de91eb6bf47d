"""What runs our greenlets or threads: found out, never decided here; and whose turn it is among greenlets."""

import sys
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
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


def patience(seconds: float) -> AbstractContextManager[Any]:
    """Raise TimeoutError when what is done within takes longer. Threads have no way to do that, and wait."""
    if async_mode() != "eventlet":
        return nullcontext()
    timeout: AbstractContextManager[Any] = sys.modules["eventlet"].Timeout(seconds, TimeoutError())
    return timeout


def take_turn() -> None:
    """Wait for one's turn: called before each piece of work that somebody outside asks for.

    However many come at once, and however much one of them asks for, nobody is kept waiting for all of it.
    """
    _way_to_wait()()


@cache
def _way_to_wait() -> Callable[[], None]:
    if async_mode() == "eventlet":
        return Turns(sys.modules["eventlet"].hubs.get_hub()).wait
    if async_mode() == "gevent":
        return lambda: sys.modules["gevent"].sleep(0)
    return lambda: None


class Turns:
    """Gives turns in the order asked, a few in each round of eventlet's hub: by itself, it runs all who are ready."""

    def __init__(self, hub: Any) -> None:
        self._hub = hub
        self._waiting: deque[Any] = deque()  # greenlets
        self._called = False

    def wait(self) -> None:
        """Let others go first who asked before."""
        this = sys.modules["greenlet"].getcurrent()
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
                self._waiting.popleft().switch()
        finally:
            self._call()  # also when one of them died of something

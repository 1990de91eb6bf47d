"""What runs our greenlets or threads: found out, never decided here."""

import sys
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal


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

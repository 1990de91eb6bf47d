"""What runs our greenlets or threads: found out, never decided here."""

import sys
from typing import Literal


def async_mode() -> Literal["eventlet", "gevent", "threading"]:
    """ "eventlet" or "gevent" where a server has patched the standard library for it before us, else "threading"."""
    eventlet = sys.modules.get("eventlet.patcher")
    if eventlet is not None and eventlet.is_monkey_patched("socket"):
        return "eventlet"
    gevent = sys.modules.get("gevent.monkey")
    if gevent is not None and gevent.is_module_patched("socket"):
        return "gevent"
    return "threading"

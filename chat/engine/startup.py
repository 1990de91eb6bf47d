"""Checks, in the process that serves, what gunicorn has made of it."""

import sys

from chat.engine.scheduler import async_mode
from config import StartupError


def require_async_worker() -> None:
    """Raise CannotStart in a gunicorn worker without greenlets: it would hang as soon as a few people are connected.

    gunicorn.conf.py refuses most such starts in the master, with a clearer sentence. This one is for those that run
    with another configuration file, or with a worker class of their own.
    """
    is_gunicorn = "gunicorn.workers.base" in sys.modules  # which every worker class imports
    if is_gunicorn and async_mode() == "threading":
        raise StartupError(
            "gunicorn runs Confab with a worker class that cannot serve it: start it with our gunicorn.conf.py, "
            "leave -k out, and leave --preload out."
        )

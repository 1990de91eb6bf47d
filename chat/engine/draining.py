"""Whether this process is about to stop: it finishes its requests and should get no new ones.

Under gunicorn, it has `graceful_timeout` seconds for that.
"""

import os
import signal
from math import inf
from time import monotonic
from typing import Protocol

EXIT_SECONDS = 1.5
"""How long before gunicorn kills a worker its services should have stopped."""


class GunicornConfig(Protocol):
    """The settings of gunicorn that matter here."""

    graceful_timeout: int
    """How many seconds a worker may take to stop until gunicorn kills it."""


class GunicornWorker(Protocol):
    """The part of a gunicorn worker that matters here."""

    alive: bool
    """False as soon as the worker has been asked to stop."""

    cfg: GunicornConfig


_worker: GunicornWorker | None = None  # None: gunicorn does not run this process
_killed_at = inf  # of the monotonic clock; infinite as long as the worker does not have to stop


def set_worker(worker: GunicornWorker) -> None:
    """Set the gunicorn worker that runs this process, once, at its start."""
    global _worker
    _worker = worker


def is_draining() -> bool:
    """Return whether this process has been asked to stop."""
    return _worker is not None and not _worker.alive


def begin_draining() -> None:
    """Note that the worker has just been asked to stop."""
    global _killed_at
    if _worker is not None:
        _killed_at = monotonic() + _worker.cfg.graceful_timeout


def seconds_to_shut_down() -> float:
    """Return how long the services of this process may take to stop.

    Infinite if nobody is going to kill it.
    """
    return max(0.0, _killed_at - EXIT_SECONDS - monotonic())


def stop_server() -> None:
    """Stop the server as an operator would: all workers of gunicorn, without it this process.

    A worker that ended alone would be started again.
    """
    server = os.getpid() if _worker is None else os.getppid()
    os.kill(server, signal.SIGTERM)

"""Whether this process is about to end: it finishes what it has, and takes in nothing new."""

from typing import ClassVar, Protocol


class GunicornWorker(Protocol):
    """What we need of a gunicorn worker: it is not alive any more as soon as it is asked to end."""

    alive: bool


class Process:
    """This process: its gunicorn worker, if it is one."""

    worker: ClassVar[GunicornWorker | None] = None


def is_draining() -> bool:
    """Whether this process has been asked to end."""
    return Process.worker is not None and not Process.worker.alive

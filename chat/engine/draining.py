"""Whether this process is about to stop: it finishes its requests and should get no new ones."""

from typing import Protocol


class GunicornWorker(Protocol):
    """The part of a gunicorn worker that matters here."""

    alive: bool
    """False as soon as the worker has been asked to stop."""


_worker: GunicornWorker | None = None  # None: gunicorn does not run this process


def set_worker(worker: GunicornWorker) -> None:
    """Set the gunicorn worker that runs this process, once, at its start."""
    global _worker
    _worker = worker


def is_draining() -> bool:
    """Return whether this process has been asked to stop."""
    return _worker is not None and not _worker.alive

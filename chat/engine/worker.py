"""Prepares a gunicorn worker, and sends its clients to other workers when it stops.

gunicorn.conf.py calls `prepare_worker`.
"""

import gc
import os
import random
import resource
from collections.abc import Callable
from time import monotonic
from typing import Any

from chat.engine.concurrency import async_mode, start_greenlet_later
from chat.engine.draining import set_worker
from chat.engine.sending import ExpectedTimeouts
from chat.engine.transports import close_transport
from chat.engine.watchdog import Watchdog

POLL_SECONDS = 0.1
DRAIN_SECONDS = 2.0

ORPHAN_EXIT_SECONDS = DRAIN_SECONDS + 0.5
"""How long a worker whose master is gone goes on."""

RESERVED_FILES = 100
"""Open files of a worker that are not connections: the database, the log, Redis."""

MIN_CONNECTIONS = 10
"""What a worker accepts even if the limit on open files is too low for it."""

GC_THRESHOLDS = (10_000, 50, 50)
"""Rarer than Python's own: each full collection visits every connection."""


def prepare_worker(
    worker: Any, eio: Any, start_bus: Callable[[], None], warnings: list[str]
) -> None:
    """Prepare a worker whose app is loaded and which does not serve yet.

    `eio` is the app's Engine.IO server. `start_bus` connects to the other workers. `warnings` are
    logged by one worker of all.
    """
    set_worker(worker)
    worker.log.error_log.addFilter(ExpectedTimeouts())
    if async_mode() == "eventlet":
        Watchdog().start()
        warnings = warnings + _raise_file_limit(worker)
    start_greenlet_later(0, _drain_when_stopped, worker, eio)
    _compile_templates(worker.app.callable)
    start_bus()
    _tune_garbage_collector()
    is_first_worker = worker.age == 1
    if is_first_worker:
        for warning in warnings:
            worker.log.warning(warning)


def ready(worker: Any) -> None:
    """Do what `prepare_worker` does, for a gunicorn whose gunicorn.conf.py is that of 0.1.0.

    A running gunicorn keeps the hooks it has read. If a worker ends after the files have been
    updated, the new one calls this name.
    """
    services = worker.app.callable.extensions["confab"]
    prepare_worker(worker, services.socketio.server.eio, services.bus.start, [])


def _compile_templates(app: Any) -> None:
    """Compile all templates before the first request, which would wait for it."""
    for template in app.jinja_env.list_templates():
        app.jinja_env.get_template(template)


def _tune_garbage_collector() -> None:
    gc.freeze()  # all objects made so far stay until the end
    gc.set_threshold(*GC_THRESHOLDS)


def _raise_file_limit(worker: Any) -> list[str]:
    """Raise the limit on open files. Where it stays too low, accept fewer connections and warn."""
    wanted_connections = worker.worker_connections
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = file_limit(soft, hard, wanted_connections + RESERVED_FILES)
    if limit != soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    if limit == resource.RLIM_INFINITY or limit >= wanted_connections + RESERVED_FILES:
        return []
    worker.worker_connections = max(limit - RESERVED_FILES, MIN_CONNECTIONS)
    return [
        f"A worker may open {limit} files, so it accepts {worker.worker_connections} connections "
        f"instead of {wanted_connections}: raise the limit (LimitNOFILE= in systemd, ulimit -n in "
        "a shell), or start more workers."
    ]


def file_limit(soft: int, hard: int, wanted: int) -> int:
    """Return the soft limit on open files to set: the hard limit, if it is a number.

    macOS reports an infinite hard limit, but refuses an infinite soft limit.
    """
    if hard != resource.RLIM_INFINITY:
        return hard
    if soft == resource.RLIM_INFINITY:
        return soft
    return max(soft, wanted)


def _drain_when_stopped(worker: Any, eio: Any) -> None:
    """Wait until the worker has to stop or its master is gone; then disconnect its clients."""
    while worker.alive and os.getppid() == worker.ppid:
        eio.sleep(POLL_SECONDS)
    worker.alive = False
    is_orphan = os.getppid() != worker.ppid
    if is_orphan:
        # gunicorn's master kills workers that do not stop; nothing does this for an orphan.
        start_greenlet_later(ORPHAN_EXIT_SECONDS, os._exit, 0)
    _drain(eio)


def _drain(eio: Any) -> None:
    """Close each transport at a random moment, so that clients do not all reconnect at once.

    It does not return: clients still connect until gunicorn has stopped listening, and those that
    come after DRAIN_SECONDS are disconnected at once.
    """
    end = monotonic() + DRAIN_SECONDS
    scheduled: set[str] = set()
    while True:
        for sid, session in list(eio.sockets.items()):
            if session.connected and sid not in scheduled:
                scheduled.add(sid)
                remaining_seconds = max(0.0, end - monotonic())
                delay = random.uniform(0, remaining_seconds)  # noqa: S311  # no secret
                start_greenlet_later(delay, close_transport, eio, sid)
        eio.sleep(POLL_SECONDS)

"""Prepares a gunicorn worker, and sends its clients to other workers when it stops.

gunicorn.conf.py calls `prepare_worker`.
"""

import gc
import os
import random
import resource
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any

from chat.engine.byte_pump import pumped_clients
from chat.engine.concurrency import async_mode, pause, start_greenlet_later
from chat.engine.draining import begin_draining, seconds_to_shut_down, set_worker
from chat.engine.handover import received_handovers
from chat.engine.sending import ExpectedTimeouts
from chat.engine.tcp import disconnect
from chat.engine.transports import close_transport
from chat.engine.watchdog import Watchdog
from chat.engine.worker_channel import WorkerChannel, forwarded_polls, incoming_channels
from chat.engine.worker_folder import remove_abandoned

POLL_SECONDS = 0.1
DRAIN_SECONDS = 2.0

SERVICES_SECONDS = 1.0
"""How long the services of a worker may take to stop, after its connections."""

ORPHAN_EXIT_SECONDS = DRAIN_SECONDS + 0.5
"""How long a worker whose master is gone goes on."""

RESERVED_FILES = 100
"""Open files of a worker that are not connections: the database, the log, Redis."""

FILES_PER_FORWARDED_CONNECTION = 3
"""The connection, the channel to the worker of its session, and a channel from another worker."""

MIN_CONNECTIONS = 10
"""What a worker accepts even if the limit on open files is too low for it."""

GC_THRESHOLDS = (10_000, 50, 50)
"""Rarer than Python's own: each full collection visits every connection."""


def prepare_worker(
    worker: Any, eio: Any, start_services: Callable[[], None], warnings: list[str]
) -> None:
    """Prepare a worker whose app is loaded and which does not serve yet.

    `eio` is the app's Engine.IO server. `start_services` starts the background work, and connects
    to the other workers. `warnings` are logged by one worker of all.
    """
    set_worker(worker)
    worker.log.error_log.addFilter(ExpectedTimeouts())
    _compile_templates(worker.app.callable)  # before anything watches the event loop or waits
    if async_mode() == "eventlet":
        Watchdog().start()
        warnings = warnings + _raise_file_limit(worker)
    start_greenlet_later(0, _drain_when_stopped, worker, eio)
    start_services()
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
    prepare_worker(worker, services.socketio.server.eio, services.start, [])


def finish_forwarded_requests() -> None:
    """Wait for the requests and connections of other workers, when a worker of gevent stops.

    gunicorn's class waits only for the connections that it has accepted. Ours waits for all.
    """
    if async_mode() != "gevent":
        return
    while (received_handovers or incoming_channels) and seconds_to_shut_down() > SERVICES_SECONDS:
        pause(POLL_SECONDS)


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
    worker_socket = vars(worker).get("confab_socket")
    connection_files = files_per_connection(worker.cfg.workers, worker_socket)
    wanted_files = wanted_connections * connection_files + RESERVED_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = file_limit(soft, hard, wanted_files)
    if limit != soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    if limit == resource.RLIM_INFINITY or limit >= wanted_files:
        return []
    possible_connections = (limit - RESERVED_FILES) // connection_files
    worker.worker_connections = max(possible_connections, MIN_CONNECTIONS)
    return [
        f"A worker may open {limit} files, so it accepts {worker.worker_connections} connections "
        f"instead of {wanted_connections}: raise the limit (LimitNOFILE= in systemd, ulimit -n in "
        "a shell), or start more workers."
    ]


def files_per_connection(workers: int, worker_socket: str | None) -> int:
    """Return how many open files a worker may need for each connection.

    Workers without a socket, and a single one, forward nothing.
    """
    if workers > 1 and worker_socket is not None:
        return FILES_PER_FORWARDED_CONNECTION
    return 1


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
    begin_draining()
    is_orphan = os.getppid() != worker.ppid
    if is_orphan:
        # gunicorn's master kills workers that do not stop; nothing does this for an orphan.
        start_greenlet_later(ORPHAN_EXIT_SECONDS, _exit_orphan, worker)
    _drain(eio)


def _exit_orphan(worker: Any) -> None:
    """End this process, and remove what its master would have removed: see gunicorn.conf.py."""
    worker_socket = vars(worker).get("confab_socket")
    if worker_socket is not None:
        remove_abandoned(str(Path(worker_socket).parent))
    os._exit(0)


def _drain(eio: Any) -> None:
    """Close each transport at a random moment, so that clients do not all reconnect at once.

    It does not return: clients still connect until gunicorn has stopped listening, and those that
    come after DRAIN_SECONDS are disconnected at once.
    """
    end = monotonic() + DRAIN_SECONDS
    scheduled: set[str] = set()
    scheduled_polls: set[WorkerChannel] = set()
    scheduled_clients: set[Any] = set()
    while True:
        for channel in forwarded_polls - scheduled_polls:
            scheduled_polls.add(channel)
            start_greenlet_later(_drain_delay(end), _end_poll, channel)
        for client in pumped_clients - scheduled_clients:
            scheduled_clients.add(client)
            start_greenlet_later(_drain_delay(end), disconnect, client)
        for sid, session in list(eio.sockets.items()):
            if session.connected and sid not in scheduled:
                scheduled.add(sid)
                start_greenlet_later(_drain_delay(end), close_transport, eio, sid)
        eio.sleep(POLL_SECONDS)


def _end_poll(channel: WorkerChannel) -> None:
    """Stop waiting for the answer to a forwarded poll, unless it is being sent to its client."""
    if channel in forwarded_polls:
        channel.disconnect()


def _drain_delay(end: float) -> float:
    """Return a random number of seconds, which are over at `end`."""
    remaining_seconds = max(0.0, end - monotonic())
    return random.uniform(0, remaining_seconds)  # noqa: S311  # no secret

"""What gunicorn calls in the life of a worker; named in gunicorn.conf.py."""

import gc
import os
import random
import resource
import sys
from collections.abc import Callable
from time import monotonic
from typing import Any

import eventlet

from chat.engine.acceptor import accept
from chat.engine.draining import Process
from chat.engine.scheduler import async_mode
from chat.engine.transports import close_transport
from chat.engine.watchdog import Watchdog

WATCH_SECONDS = 0.1
DRAIN_SECONDS = 2.0
FILES_OF_OUR_OWN = 100  # database, log, Redis, and what is being opened


def ready(worker: Any, eio: Any, start_bus: Callable[[], None]) -> None:
    """Prepare a worker whose app is loaded and which serves nobody yet.

    `eio` is the app's Engine.IO server. `start_bus` connects to the other workers.
    """
    Process.worker = worker
    app = worker.app.callable
    remarks = app.config["CONFAB"].remarks()
    if async_mode() == "eventlet":
        sys.modules["gunicorn.workers.geventlet"]._eventlet_serve = accept  # type: ignore[attr-defined]  # a module's own
        Watchdog().start()
        eventlet.spawn(_watch, worker, eio)
        remarks += _raise_limits(worker)
    for template in app.jinja_env.list_templates():
        app.jinja_env.get_template(template)  # compiled now, while nobody waits
    start_bus()
    gc.freeze()  # what is here stays
    gc.set_threshold(10_000, 50, 50)  # each search looks at every connection there is
    if worker.age == 1:  # one of them speaks for all
        for remark in remarks:
            worker.log.warning(remark)


def _raise_limits(worker: Any) -> list[str]:
    """Raise the limit on open files; where it stays too low, take in fewer connections, and say so."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    wanted = worker.worker_connections
    if hard == resource.RLIM_INFINITY or hard >= wanted + FILES_OF_OUR_OWN:
        return []
    worker.worker_connections = max(hard - FILES_OF_OUR_OWN, 10)
    return [
        f"A worker may open {hard} files, so it takes in {worker.worker_connections} connections instead of {wanted}: "
        "raise the limit (LimitNOFILE= in systemd, ulimit -n in a shell), or start more workers."
    ]


def _watch(worker: Any, eio: Any) -> None:
    """Wait until the worker is to stop or its master is gone; then send its clients to other workers."""
    while worker.alive and os.getppid() == worker.ppid:
        eventlet.sleep(WATCH_SECONDS)
    worker.alive = False
    if os.getppid() != worker.ppid:
        eventlet.spawn_after(
            DRAIN_SECONDS + 0.5, os._exit, 0
        )  # nobody is left to see to it that an orphan ends
    _drain(eio)


def _drain(eio: Any) -> None:
    """Close every transport at a random moment within DRAIN_SECONDS, so that not all clients reconnect at once.

    It does not return: clients still connect until gunicorn has stopped listening, and those are closed at once.
    """
    end = monotonic() + DRAIN_SECONDS
    scheduled: set[str] = set()
    while True:
        for sid, session in list(eio.sockets.items()):
            if session.connected and sid not in scheduled:
                scheduled.add(sid)
                delay = random.uniform(0, max(0.0, end - monotonic()))  # noqa: S311  # no secret
                eventlet.spawn_after(delay, close_transport, eio, sid)
        eventlet.sleep(WATCH_SECONDS)

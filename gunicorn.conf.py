"""Production defaults; gunicorn finds this file by itself. What the hooks do is in chat/engine/worker.py."""

import os
from typing import Any

bind = "127.0.0.1:5000"
worker_connections = 10_000
# An idle connection delays the end of a worker so long. Never 0: that would let a client send its headers for ever.
keepalive = 2
timeout = 60
graceful_timeout = 8
control_socket_disable = True


def post_fork(server: Any, worker: Any) -> None:
    """Tell the app, before it is imported, how many workers there are, and whether this one replaces another."""
    os.environ["CONFAB_WORKERS"] = str(server.num_workers)
    os.environ["CONFAB_REPLACES"] = "yes" if worker.age > server.num_workers else ""


def post_worker_init(worker: Any) -> None:
    """The app is loaded."""
    from chat.engine.worker import ready  # noqa: PLC0415  # eventlet has to patch the standard library first

    ready(worker)

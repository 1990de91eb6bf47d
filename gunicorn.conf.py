"""Production defaults, checks of the start command, and hooks; gunicorn finds this file by itself.

The checks are here, and import nothing of Confab, because this file runs in gunicorn's master: what the master imports,
new workers run after a HUP, even when the files are newer. What the hooks do in a worker is in chat/engine/worker.py.
"""

import ipaddress
import os
import re
import sys
from importlib.util import find_spec
from typing import Any, NoReturn

import gunicorn  # type: ignore[import-untyped]  # a stub package for two names would be one more to pin
from gunicorn.config import Config  # type: ignore[import-untyped]

CANNOT_START = (
    3  # the exit status of a start that would fail again: gunicorn does not replace such a worker
)
PACKAGES = {
    "eventlet": "eventlet",
    "gevent": "gevent",
    "gevent_wsgi": "gevent",
    "gevent_pywsgi": "gevent",
}
PINNED = "install the versions that requirements/run.txt pins"


def fail(sentence: str) -> NoReturn:
    """Print why Confab cannot start, and exit."""
    sys.stderr.write(f"Confab cannot start: {sentence}\n")
    sys.exit(CANNOT_START)


def chosen(setting: str) -> Any:
    """The value of a setting in GUNICORN_CMD_ARGS or on the command line, which take precedence over this file."""
    config = Config()
    parser = config.parser()
    from_environment, _ = parser.parse_known_args(config.get_cmd_args_from_env())
    from_command_line, _ = parser.parse_known_args()
    value = getattr(from_command_line, setting)
    return getattr(from_environment, setting) if value is None else value


def check_worker_class(name: str) -> None:
    """Refuse a worker class of gunicorn's that cannot serve Confab, or that cannot be loaded."""
    if "." in name or ":" in name:
        return  # the operator's own class; app.py checks what it does
    if name not in PACKAGES:
        fail(
            f"The worker class {name} cannot serve Confab, which needs eventlet or gevent: leave -k out."
        )
    if name == "eventlet":
        check_eventlet()
    elif find_spec(PACKAGES[name]) is None:
        fail(
            f"The worker class {name} needs the package {PACKAGES[name]}: install it, or leave -k out."
        )


def check_eventlet() -> None:
    """Refuse an installation without gunicorn's eventlet worker, which is in gunicorn before version 26."""
    if find_spec("gunicorn.workers.geventlet") is None:
        fail(f"gunicorn {gunicorn.__version__} has no eventlet worker: {PINNED}.")
    if find_spec("eventlet") is None:
        fail(f"The package eventlet is not installed: {PINNED}.")


def port_from_environment() -> int:
    """The port in PORT, 5000 by default."""
    value = os.environ.get("PORT") or "5000"
    if not re.fullmatch("[0-9]{1,5}", value) or not 0 < int(value) < 65536:
        fail(f"PORT={value} is not a port: give a number from 1 to 65535.")
    return int(value)


def host_from_environment() -> str | None:
    """The IP address in HOST, or None: some shells export the name or the type of the machine as HOST."""
    value = os.environ.get("HOST", "")
    if value == "localhost":
        return "127.0.0.1"
    try:
        return str(ipaddress.ip_address(value.removeprefix("[").removesuffix("]")))
    except ValueError:
        return None


def bind_from_environment() -> str:
    """Where to listen: at HOST and PORT; with PORT alone everywhere, as hosting platforms expect of gunicorn."""
    port = port_from_environment()
    host = host_from_environment()
    if host is None:
        host = "0.0.0.0" if os.environ.get("PORT") else "127.0.0.1"  # noqa: S104  # whoever sets PORT alone expects it
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def workers_from_environment() -> int:
    """The number of workers in WORKERS."""
    value = os.environ["WORKERS"]
    if not re.fullmatch("[0-9]{1,4}", value) or int(value) == 0:
        fail(f"WORKERS={value} is not a number of workers: give 1 or more.")
    return int(value)


worker_class = "eventlet"
worker_connections = 10_000
# An idle connection delays the end of a worker so long. Never 0: that would let a client send its headers for ever.
keepalive = 2
timeout = 60
graceful_timeout = 8
control_socket_disable = True
remarks: list[str] = []  # what the log says once gunicorn has one

check_worker_class(chosen("worker_class") or worker_class)
if chosen("bind") is None:
    bind = bind_from_environment()
    if os.environ.get("HOST") and host_from_environment() is None:
        remarks.append(
            f"HOST={os.environ['HOST']} is not an IP address and is ignored: listening at {bind}."
        )
if chosen("workers") is None and os.environ.get("WORKERS"):
    workers = workers_from_environment()


def nworkers_changed(server: Any, new_value: int, old_value: int | None) -> None:
    """Check the start command: of all hooks this one comes first, before --preload, the pid file and the sockets."""
    if old_value is not None:
        return  # a running gunicorn gets more or fewer workers
    if server.cfg.preload_app:
        fail(
            "With --preload nobody could connect, because Confab has to be loaded in its worker: leave --preload out."
        )
    if new_value < 1:
        fail("gunicorn would run no worker (-w or WEB_CONCURRENCY is 0): give 1 or more.")


def on_starting(server: Any) -> None:
    """Log the remarks, and see to it that of several workers that cannot start, only the first says why."""
    for remark in remarks:
        server.log.warning(remark)
    reading_end, writing_end = os.pipe()
    os.write(
        writing_end, b"1"
    )  # the worker that reads this byte reports the failure; the others find the end
    os.close(writing_end)
    os.environ["CONFAB_FAILURE_PIPE"] = str(reading_end)


def post_fork(server: Any, worker: Any) -> None:
    """Tell the app, before it is imported, how many workers there are, and whether this one replaces another."""
    os.environ["CONFAB_WORKERS"] = str(server.num_workers)
    os.environ["CONFAB_REPLACES"] = "yes" if worker.age > server.num_workers else ""


def post_worker_init(worker: Any) -> None:
    """Prepare the worker, now that its app is loaded."""
    # Imported here: eventlet has to patch the standard library first.
    from chat.engine.worker import ready  # noqa: PLC0415
    from chat.services import services_of  # noqa: PLC0415

    services = services_of(worker.app.callable)
    ready(worker, services.socketio.server.eio, services.bus.start)

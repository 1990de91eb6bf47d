"""Production defaults, checks of the start command, and hooks. gunicorn reads this file by itself.

It runs in gunicorn's master and imports nothing of Confab there: what the master has imported, new
workers inherit after a HUP, even when the files have changed. What the hooks do in a worker is in
chat/engine/worker.py. The form of the log is in chat/logs.py, which is run and not imported.
"""

import ipaddress
import os
import re
import runpy
import sys
import warnings
from collections.abc import Mapping
from contextlib import suppress
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any, NoReturn

import gunicorn  # type: ignore[import-untyped]  # stubs would be one more package to pin
from dotenv import dotenv_values
from gunicorn.config import Config  # type: ignore[import-untyped]  # likewise
from gunicorn.glogging import Logger  # type: ignore[import-untyped]  # likewise
from gunicorn.workers import SUPPORTED_WORKERS  # type: ignore[import-untyped]  # likewise

STARTUP_ERROR_STATUS = 3
"""The exit status after which gunicorn does not start the worker again."""

PACKAGE_BY_WORKER_CLASS = {
    "eventlet": "eventlet",
    "gevent": "gevent",
    "gevent_wsgi": "gevent",
    "gevent_pywsgi": "gevent",
}
WORKER_FILE = Path(__file__).parent / "chat" / "engine" / "gunicorn_worker.py"
WORKER_MODULE = "confab_gunicorn_worker"
INSTALL_PINNED = "install the versions that requirements/run.txt pins"
EVENTLET_NOTICE = (
    "eventlet gets fixes but no new features: Confab is tested with the pinned versions of "
    "eventlet and gunicorn, and you need to do nothing."
)
LOG_LEVELS = ("debug", "info", "warning", "error")
DEFAULT_PORT = "5000"
MAX_PORT = 65535
LOGS = runpy.run_path(str(Path(__file__).with_name("chat") / "logs.py"))


def stop_hiding_the_standard_library() -> None:
    """Take gunicorn's own folder off the module path, in which its `http` hides Python's.

    It is there after USR2, because gunicorn then runs `python -m gunicorn` again as a script.
    """
    hiding_folder = Path(gunicorn.__file__).parent.resolve()
    sys.path[:] = [folder for folder in sys.path if Path(folder).resolve() != hiding_folder]


def fail(sentence: str) -> NoReturn:
    """Print why Confab cannot start, and exit."""
    sys.stderr.write(f"Confab cannot start: {sentence}\n")
    sys.exit(STARTUP_ERROR_STATUS)


def explicit_setting(name: str) -> Any:
    """Return a setting of the command line or GUNICORN_CMD_ARGS, or None.

    gunicorn prefers these to the settings in this file, the command line first.
    """
    config = Config()
    parser = config.parser()
    from_environment, _ = parser.parse_known_args(config.get_cmd_args_from_env())
    from_command_line, _ = parser.parse_known_args()
    value = getattr(from_command_line, name)
    if value is not None:
        return value
    return getattr(from_environment, name)


def check_worker_class(name: str) -> None:
    """Refuse a worker class that cannot serve Confab, or that cannot be loaded."""
    if "." in name or ":" in name:
        return  # a class of the operator's own, which app.py checks
    package = PACKAGE_BY_WORKER_CLASS.get(name)
    if package is None:
        fail(
            f"The worker class {name} cannot serve Confab, which needs eventlet or gevent: leave "
            "-k out."
        )
    if find_spec(package) is None and name == "eventlet":
        fail(f"The package eventlet is not installed: {INSTALL_PINNED}.")
    if find_spec(package) is None:
        fail(f"The worker class {name} needs the package {package}: install it, or leave -k out.")


def register_eventlet_worker() -> None:
    """Register our worker class in gunicorn's table, under the name `eventlet`.

    gunicorn 26 removed its own class of that name. The file is a module of its own here, because
    importing it from `chat` would import the whole package. gunicorn loads it when it looks up the
    class, and again after a HUP, because the file may have changed.
    """
    spec = spec_from_file_location(WORKER_MODULE, WORKER_FILE)
    if spec is None or spec.loader is None:
        fail(f"{WORKER_FILE} cannot be loaded.")
    loader = spec.loader
    module = module_from_spec(spec)

    def load(name: str) -> Any:
        # Not while Python imports a module: eventlet replaces locks, also those of an import.
        if name != "EventletWorker":
            raise AttributeError(name)
        loader.exec_module(module)
        return vars(module)[name]

    vars(module)["__getattr__"] = load  # see PEP 562
    sys.modules[WORKER_MODULE] = module
    SUPPORTED_WORKERS["eventlet"] = f"{WORKER_MODULE}.EventletWorker"


def port_from_environment() -> int:
    """Return the port in PORT, or the default."""
    value = os.environ.get("PORT") or DEFAULT_PORT
    if not re.fullmatch("[0-9]{1,5}", value) or not 0 < int(value) <= MAX_PORT:
        fail(f"PORT={value} is not a port: give a number from 1 to {MAX_PORT}.")
    return int(value)


def host_from_environment() -> str | None:
    """Return the IP address in HOST.

    Returns None when it is not an address: some shells export the name or the type of the machine
    as HOST.
    """
    value = os.environ.get("HOST", "")
    if value == "localhost":
        return "127.0.0.1"
    try:
        return str(ipaddress.ip_address(value.removeprefix("[").removesuffix("]")))
    except ValueError:
        return None


def bind_from_environment() -> str:
    """Return the address to listen at: HOST and PORT.

    With PORT alone, it is every interface, as hosting platforms expect; with neither, loopback.
    """
    port = port_from_environment()
    host = host_from_environment()
    if host is None:
        host = default_host()
    if ":" in host:
        return f"[{host}]:{port}"
    return f"{host}:{port}"


def default_host() -> str:
    """Return where to listen without HOST."""
    if os.environ.get("PORT"):
        return "0.0.0.0"  # noqa: S104  # what hosting platforms expect when they set PORT
    return "127.0.0.1"


def workers_from_environment() -> int:
    """Return the number of workers in WORKERS."""
    value = os.environ["WORKERS"]
    if not re.fullmatch("[0-9]{1,4}", value) or int(value) == 0:
        fail(f"WORKERS={value} is not a number of workers: give 1 or more.")
    return int(value)


def read_setting(name: str) -> str | None:
    """Return a setting of config.py that the master needs too; workers check its value."""
    in_file: Mapping[str, str | None] = {}
    with suppress(OSError, ValueError):  # which workers report
        in_file = dotenv_values(find_variable(os.environ, "ENV_FILE") or ".env")
    return find_variable(os.environ, name) or find_variable(in_file, name)


def find_variable(variables: Mapping[str, str | None], name: str) -> str | None:
    """Return the value of a variable, which may have the prefix."""
    return variables.get(f"CONFAB_{name}") or variables.get(name)


class Log(Logger):  # type: ignore[misc]  # it has no types
    """gunicorn's log, which Confab logs to as well, in the form of chat/logs.py."""

    def setup(self, cfg: Any) -> None:
        """Configure the log of the master, which workers inherit."""
        super().setup(cfg)
        if cfg.logconfig or cfg.logconfig_dict or cfg.logconfig_json:
            return  # the operator configures it
        LOGS["configure"](log_level, read_setting("LOG_FORMAT"))


# The sentence in `on_starting` says what there is to know about this notice.
warnings.filterwarnings("ignore", r"\s*Eventlet is deprecated")

log_level = (read_setting("LOG_LEVEL") or "info").lower()
if log_level not in LOG_LEVELS:
    log_level = "info"  # a worker reports it
loglevel = log_level  # of gunicorn's own lines
logger_class = Log

worker_class = "eventlet"
worker_connections = 10_000
# An idle connection delays the end of a worker by this many seconds. Never 0: a client could then
# send its headers for ever.
keepalive = 2
limit_request_line = 4094
limit_request_fields = 64
limit_request_field_size = 8190
timeout = 60
graceful_timeout = 8
control_socket_disable = True
forwarder_headers = ""  # no client may set SCRIPT_NAME or PATH_INFO, not even through a proxy
sendfile = False  # eventlet's sockets cannot
startup_warnings: list[str] = []  # logged by on_starting, when gunicorn has its log

stop_hiding_the_standard_library()
FOLDER = runpy.run_path(str(WORKER_FILE.with_name("worker_folder.py")))
chosen_worker_class = explicit_setting("worker_class") or worker_class
check_worker_class(chosen_worker_class)
if chosen_worker_class == "eventlet":
    register_eventlet_worker()
if explicit_setting("bind") is None:
    bind = bind_from_environment()
    if os.environ.get("HOST") and host_from_environment() is None:
        startup_warnings.append(
            f"HOST={os.environ['HOST']} is not an IP address and is ignored: listening at {bind}."
        )
if explicit_setting("workers") is None and os.environ.get("WORKERS"):
    workers = workers_from_environment()


def nworkers_changed(server: Any, new_value: int, old_value: int | None) -> None:
    """Check the start command.

    gunicorn calls this hook before all others, and before it loads the app for --preload, writes
    the pid file and opens the sockets.
    """
    if old_value is not None:
        return  # a running gunicorn gets more or fewer workers
    if server.cfg.preload_app:
        fail(
            "With --preload, clients could not connect, because Confab has to be loaded in its "
            "worker: leave --preload out."
        )
    if new_value < 1:
        fail("gunicorn would run no worker (-w or WEB_CONCURRENCY is 0): give 1 or more.")


def on_starting(server: Any) -> None:
    """Log the warnings, and let only one of several workers report that it cannot start.

    The worker that reads the only byte in the pipe reports it.
    """
    if server.cfg.worker_class_str == "eventlet":
        server.log.info(EVENTLET_NOTICE)
    for warning in startup_warnings:
        server.log.warning(warning)
    reading_end, writing_end = os.pipe()
    os.write(writing_end, b"1")
    os.close(writing_end)  # the other workers then find the end of the pipe
    os.environ["CONFAB_FAILURE_PIPE"] = str(reading_end)
    os.environ["CONFAB_FIRST_WORKERS"] = str(server.num_workers)


def pre_exec(server: Any) -> None:
    """Pass the folder of the workers' sockets to the master that USR2 starts."""
    folder = os.environ.get("CONFAB_WORKER_FOLDER")
    if folder is not None:
        server.cfg.env_orig.update(CONFAB_WORKER_FOLDER=folder)


def pre_fork(server: Any, worker: Any) -> None:
    """Choose the socket at which the others will reach a new worker.

    What the master remembers is in its environment: after a HUP, this file is run again.
    """
    worker.confab_socket = None
    worker.confab_number = None
    taken_numbers = {vars(other).get("confab_number") for other in server.WORKERS.values()}
    try:
        folder, generation = worker_folder()
        name, worker.confab_number = FOLDER["socket_name"](generation, taken_numbers)
    except OSError as error:
        server.log.warning(
            "There is no folder for the sockets of the workers (%s): several workers then offer "
            "only WebSocket.",
            error,
        )
        return
    worker.confab_socket = str(Path(folder, name))


def worker_folder() -> tuple[str, str]:
    """Return the folder of the workers' sockets, and this master's generation in it.

    It is made for the first worker. Raises OSError.
    """
    inherited = os.environ.get("CONFAB_WORKER_FOLDER")
    master, _, generation = os.environ.get("CONFAB_MASTER", "").partition(" ")
    if inherited and master == str(os.getpid()) and FOLDER["is_usable"](inherited):
        return inherited, generation
    folder, generation = FOLDER["claim_generation"](inherited)
    os.environ.update(CONFAB_WORKER_FOLDER=folder, CONFAB_MASTER=f"{os.getpid()} {generation}")
    return folder, generation


def on_exit(_server: Any) -> None:
    """Remove the sockets of the workers."""
    master, _, generation = os.environ.get("CONFAB_MASTER", "").partition(" ")
    if master == str(os.getpid()):
        FOLDER["release_generation"](os.environ["CONFAB_WORKER_FOLDER"], generation)


def post_fork(server: Any, worker: Any) -> None:
    """Pass to the app how many workers there are, and whether this one is not among the first."""
    os.environ["CONFAB_WORKER_SOCKET"] = worker.confab_socket or ""
    # TTIN adds to server.num_workers. The variable is missing after a HUP from release 0.1.0.
    first_workers = int(os.environ.get("CONFAB_FIRST_WORKERS", server.num_workers))
    is_replacement = worker.age > first_workers
    os.environ["CONFAB_WORKERS"] = str(server.num_workers)
    os.environ["CONFAB_REPLACES"] = "yes" if is_replacement else ""
    # Also when it comes from the command line.
    os.environ.update(FORWARDED_ALLOW_IPS=",".join(server.cfg.forwarded_allow_ips))


def post_worker_init(worker: Any) -> None:
    """Prepare the worker, whose app has been loaded."""
    # Imported here: eventlet has to patch the standard library first.
    from chat.current_config import current_config  # noqa: PLC0415
    from chat.engine.worker import prepare_worker  # noqa: PLC0415
    from chat.services import services_of  # noqa: PLC0415

    app = worker.app.callable
    services = services_of(app)
    with app.app_context():
        warnings = current_config().warnings()
    prepare_worker(worker, services.socketio.server.eio, services.start, warnings)


def worker_exit(_server: Any, worker: Any) -> None:
    """Let a worker that stops finish what other workers have forwarded to it.

    gunicorn also calls this in its master, for a worker that has ended already.
    """
    if worker.pid != os.getpid() or not worker.booted:
        return
    from chat.engine.worker import finish_forwarded_requests  # noqa: PLC0415  # likewise

    finish_forwarded_requests()

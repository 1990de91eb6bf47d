"""The servers under test ("peers"): how each is installed and started, and its database."""

import os
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench.environments import python_with
from bench.scenarios import QUICK
from config import Config
from tests.servers import ROOT, Program, free_port

PLAIN = ROOT / "bench" / "peers" / "plain"
NODE = ROOT / "bench" / "peers" / "node"
CHANNELS = ROOT / "bench" / "peers" / "channels"
ROOMS = 200
HEALTH_TIMEOUT_SECONDS = 5
INSTALL_TIMEOUT_SECONDS = 900
MIGRATE_TIMEOUT_SECONDS = 60

# The names of peers, as in PEERS=.
CONFAB = "confab"
AGAIN = "confab-again"
BEFORE = "before"
REFERENCE = "node"
TUNED = "node-tuned"
ENGINE_OFF = "confab-engine-off"
GEVENT = "confab-gevent"
OWN = (CONFAB, AGAIN, ENGINE_OFF, GEVENT)
"""This tree of Confab, in whatever way it runs."""

STACK_SCENARIOS = frozenset({"W1000", "B", "BL", QUICK.name})
"""A live room, and many small ones that are saturated or at everyday load.

Servers that show what another stack costs run only these, because each run takes time.
"""


def gunicorn_command(python: str, worker_class: str) -> list[str]:
    """Return the command that serves app.py with one worker; `{port}` stands for the port."""
    gunicorn = [python, "-W", "ignore", "-m", "gunicorn", "-k", worker_class, "-w", "1", "app:app"]
    return [*gunicorn, "-b", "127.0.0.1:{port}"]


def pinned_command(cores: str, command: list[str]) -> list[str]:
    """Return a command that runs on some cores only and ends together with its parent process."""
    return ["setpriv", "--pdeathsig", "KILL", "taskset", "-c", cores, *command]


class Server(Program):
    """One worker of a peer. `{port}` in the command is replaced by its port."""

    def __init__(
        self, folder: Path, cores: str, command: list[str], tree: Path, **environment: str
    ) -> None:
        self.port = free_port()
        words = [word.format(port=self.port) for word in command]
        super().__init__(
            folder,
            pinned_command(cores, words),
            self._is_healthy,
            PORT=str(self.port),
            **environment,
        )
        self.where = tree

    def _is_healthy(self) -> bool:
        url = f"http://127.0.0.1:{self.port}/healthz"
        try:
            with urllib.request.urlopen(url, timeout=HEALTH_TIMEOUT_SECONDS) as response:
                return bool(response.status == 200)
        except (urllib.error.URLError, OSError):
            return False


def _prepare_nothing(data: Path, shared: Path, database_settings: dict[str, str]) -> None:
    """Most peers start with an empty folder and an empty database."""


def _install_nothing() -> None:
    """Peers in Python use the packages of Confab."""


@dataclass(frozen=True)
class Peer:
    """A server to compare.

    `server` is called with a folder for its log, a folder for its data, cores and settings.
    `database` is the path of its SQLite database in the data folder. `prepare` is called before the
    servers of a run start, with their data folder, a folder that all runs share, and the settings
    that name the database, which are empty with SQLite. `scenarios` are the names of those it runs;
    None means all. A server that `needs_redis` gets its URL in REDIS_URL in every scenario, others
    only in those with several servers.
    """

    name: str
    title: str
    server: Callable[..., Server]
    database: str
    prepare: Callable[[Path, Path, dict[str, str]], None] = _prepare_nothing
    install: Callable[[], None] = _install_nothing
    scenarios: frozenset[str] | None = None
    needs_redis: bool = False

    def runs(self, scenario: str) -> bool:
        """Return whether the peer takes part in a scenario."""
        return self.scenarios is None or scenario in self.scenarios


@dataclass(frozen=True)
class Installation:
    """A tree of Confab and the Python that has its packages.

    It may be another commit with another structure and another schema. So its code is never
    imported here, and its database is created by its own server.
    """

    tree: Path
    python: str = sys.executable
    limits: dict[str, str] = field(default_factory=lambda: {"LIMITS": "off"})
    """The settings of the rate limits."""

    worker_class: str = "eventlet"
    engine: str | None = field(default_factory=lambda: os.environ.get("ENGINE"))
    """The setting ENGINE; None leaves it out."""

    def peer(self, name: str, title: str, scenarios: frozenset[str] | None = None) -> Peer:
        """Return this installation as a peer."""
        database = "instance/confab.db"
        return Peer(name, title, self.server, database, self.prepare, scenarios=scenarios)

    def server(self, folder: Path, data: Path, cores: str, **environment: str) -> Server:
        """Return one worker, not started yet, whose instance folder is in `data`."""
        settings = {"INSTANCE": str(data / "instance"), **self.limits}
        settings["ENV_FILE"] = os.devnull  # not the .env of whoever runs the benchmark
        if self.engine is not None:
            settings["ENGINE"] = self.engine
        command = gunicorn_command(self.python, self.worker_class)
        return Server(folder, cores, command, self.tree, **settings, **environment)

    def prepare(self, data: Path, shared: Path, database_settings: dict[str, str]) -> None:
        """Create the rooms r0, r1, ... in the database that the settings name.

        Without such settings, copy an instance with these rooms into `data`; it is made once, in
        `shared`.
        """
        if database_settings:
            self._create_rooms(data, database_settings)
            return
        prepared = shared / f"rooms-of-{self.tree.name}"
        if not prepared.exists():
            unfinished = shared / f"unfinished-{prepared.name}"
            self._create_rooms(unfinished, database_settings)
            unfinished.rename(prepared)
        shutil.copytree(prepared / "instance", data / "instance")

    def _create_rooms(self, folder: Path, database_settings: dict[str, str]) -> None:
        """Visit the pages of the rooms, which creates them."""
        cores = ",".join(str(core) for core in os.sched_getaffinity(0))
        server = self.server(folder, folder, cores, **database_settings)
        try:
            server.start()
            for number in range(ROOMS):
                url = f"http://127.0.0.1:{server.port}/r{number}/"
                with urllib.request.urlopen(url, timeout=30) as page:
                    page.read()
        finally:
            server.stop()


def _plain(folder: Path, data: Path, cores: str, **environment: str) -> Server:
    command = [sys.executable, "-W", "ignore", "app.py"]
    return Server(folder, cores, command, PLAIN, DATABASE=str(data / "chat.db"), **environment)


def _node(folder: Path, data: Path, cores: str, **environment: str) -> Server:
    command = ["node", "server.mjs"]
    return Server(folder, cores, command, NODE, DATABASE=str(data / "chat.db"), **environment)


def _node_tuned(folder: Path, data: Path, cores: str, **environment: str) -> Server:
    return _node(folder, data, cores, TUNED="1", **environment)


def _install_node() -> None:
    lock = NODE / "package-lock.json"
    installed = NODE / "node_modules" / "installed.json"
    if installed.exists() and installed.read_bytes() == lock.read_bytes():
        return
    sys.stdout.write(
        "Installing the packages of bench/peers/node; this takes minutes if better-sqlite3 has "
        "to be compiled.\n"
    )
    command = ["npm", "ci", "--no-audit", "--no-fund"]
    subprocess.run(command, cwd=NODE, check=True, timeout=INSTALL_TIMEOUT_SECONDS)
    shutil.copy(lock, installed)


def _channels_python() -> str:
    return python_with(CHANNELS / "requirements.txt", ROOT)


def _install_channels() -> None:
    _channels_python()


def _prepare_channels(data: Path, _shared: Path, _database_settings: dict[str, str]) -> None:
    """Create the tables."""
    environment = _channels_settings(data) | {"PATH": os.environ["PATH"], "REDIS_URL": ""}
    command = [_channels_python(), "-m", "django", "migrate", "--run-syncdb", "--verbosity", "0"]
    subprocess.run(
        command, cwd=CHANNELS, env=environment, check=True, timeout=MIGRATE_TIMEOUT_SECONDS
    )


def _channels(folder: Path, data: Path, cores: str, **environment: str) -> Server:
    command = [_channels_python(), "-m", "uvicorn", "asgi:application", "--port", "{port}"]
    command += ["--backlog", "4096", "--lifespan", "off", "--log-level", "warning"]
    # The consumers send the pings of Engine.IO instead.
    command += ["--ws-ping-interval", "0"]
    return Server(folder, cores, command, CHANNELS, **_channels_settings(data), **environment)


def _channels_settings(data: Path) -> dict[str, str]:
    return {"DATABASE": str(data / "chat.db"), "DJANGO_SETTINGS_MODULE": "settings"}


def limits_from_environment() -> dict[str, str]:
    """Return the settings of the rate limits for this tree.

    With `LIMITS=raised`, every bucket is read and written and no limit is reached.
    """
    if os.environ.get("LIMITS") != "raised":
        return {"LIMITS": "off"}
    # This machine is no proxy, so that its requests have a client address.
    settings = {"LIMITS": "on", "FORWARDED_ALLOW_IPS": ""}
    for name, value in vars(Config()).items():
        if name.startswith("limit_"):
            is_number = isinstance(value, int)
            settings[name.upper()] = "1000000" if is_number else "1000000, 1000000/s"
    return settings


THIS_TREE = Installation(ROOT, limits=limits_from_environment())
WITHOUT_ENGINE = replace(THIS_TREE, engine="off")
ON_GEVENT = replace(THIS_TREE, worker_class="gevent")
CONTROL = THIS_TREE.peer(AGAIN, "Confab again")
"""Only for pairs of runs: ratios and the chart show PEERS."""

PEERS = {
    CONFAB: THIS_TREE.peer(CONFAB, "Confab"),
    REFERENCE: Peer(REFERENCE, "Node socket.io", _node, "chat.db", install=_install_node),
    TUNED: Peer(TUNED, "Node, tuned", _node_tuned, "chat.db", install=_install_node),
    "plain": Peer("plain", "plain Flask-SocketIO", _plain, "chat.db", scenarios=STACK_SCENARIOS),
    ENGINE_OFF: WITHOUT_ENGINE.peer(ENGINE_OFF, "Confab, ENGINE=off", STACK_SCENARIOS),
    GEVENT: ON_GEVENT.peer(GEVENT, "Confab on gevent", STACK_SCENARIOS),
    "channels": Peer(
        "channels",
        "Django Channels",
        _channels,
        "chat.db",
        _prepare_channels,
        _install_channels,
        STACK_SCENARIOS,
        needs_redis=True,
    ),
}
ALL_PEERS = {**PEERS, AGAIN: CONTROL}
PEERS_WITH_POSTGRES = {name: PEERS[name] for name in (CONFAB, REFERENCE, TUNED)}

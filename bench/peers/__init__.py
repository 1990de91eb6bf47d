"""The servers that the benchmark compares: how each is installed and started, and where it keeps its messages."""

import os
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from chat import create_app, journal
from chat.database import db
from config import Config
from tests.servers import HERE, Program, free_port

PLAIN = HERE / "bench" / "peers" / "plain"
NODE = HERE / "bench" / "peers" / "node"
ROOMS = 200
GUNICORN = (sys.executable, "-W", "ignore", "-m", "gunicorn", "-k", "eventlet", "-w", "1", "app:app")


class Server(Program):
    """One worker of a peer, pinned to some cores; it ends with whoever started it, whatever happens."""

    def __init__(self, folder: Path, cores: str, words: list[str], where: Path, **environment: str) -> None:
        self.port = free_port()
        pinned = ["setpriv", "--pdeathsig", "KILL", "taskset", "-c", cores]
        words = [word.format(port=self.port) for word in words]
        super().__init__(folder, pinned + words, self._is_well, PORT=str(self.port), **environment)
        self.where = where

    def _is_well(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/healthz", timeout=5) as response:
                return bool(response.status == 200)
        except (urllib.error.URLError, OSError):
            return False


@dataclass(frozen=True)
class Peer:
    """A chat to compare with. `server` is called with a folder for its log, one for its data, cores and settings."""

    name: str  # as PEERS= names it
    title: str
    server: Callable[..., Server]
    database: str  # in the folder of the run
    prepare: Callable[[Path], None] = lambda folder: None  # called with the folder of a run, before the servers start
    install: Callable[[], None] = lambda: None


def _confab(folder: Path, data: Path, cores: str, **environment: str) -> Server:
    passed = {name: value for name, value in os.environ.items() if name == "ENGINE"}
    settings = {"INSTANCE": str(data / "instance"), "LIMITS": "off"}
    words = [*GUNICORN, "-b", "127.0.0.1:{port}"]
    return Server(folder, cores, words, HERE, **settings, **passed, **environment)


def _make_rooms(data: Path) -> None:
    """The rooms r0, r1, ...; made once, then copied."""
    made = data.parent / "rooms"
    if not made.exists():
        app = create_app(Config(instance=made))
        with app.app_context():
            for number in range(ROOMS):
                journal.open_room(f"r{number}")
            db.engine.dispose()
    shutil.copytree(made, data / "instance")


def _plain(folder: Path, data: Path, cores: str, **environment: str) -> Server:
    words = [*GUNICORN, "--worker-connections", "10000", "--log-level", "warning", "-b", "127.0.0.1:{port}"]
    return Server(folder, cores, words, PLAIN, DATABASE=str(data / "chat.db"), **environment)


def _node(folder: Path, data: Path, cores: str, **environment: str) -> Server:
    return Server(folder, cores, ["node", "server.mjs"], NODE, DATABASE=str(data / "chat.db"), **environment)


def _node_tuned(folder: Path, data: Path, cores: str, **environment: str) -> Server:
    return _node(folder, data, cores, TUNED="1", **environment)


def _install_node() -> None:
    lock, installed = NODE / "package-lock.json", NODE / "node_modules" / "installed.json"
    if installed.exists() and installed.read_bytes() == lock.read_bytes():
        return
    sys.stdout.write("Installing what bench/peers/node pins; without a ready-made better-sqlite3 this takes minutes.\n")
    subprocess.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=NODE, check=True, timeout=900)
    shutil.copy(lock, installed)


CONFAB, REFERENCE = "confab", "node"
PEERS = {
    each.name: each
    for each in (
        Peer(CONFAB, "Confab", _confab, "instance/confab.db", prepare=_make_rooms),
        Peer(REFERENCE, "Node socket.io", _node, "chat.db", install=_install_node),
        Peer("node-tuned", "Node, tuned", _node_tuned, "chat.db", install=_install_node),
        Peer("plain", "plain Flask-SocketIO", _plain, "chat.db"),
    )
}

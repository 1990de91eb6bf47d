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

from tests.servers import ROOT, Program, free_port

PLAIN = ROOT / "bench" / "peers" / "plain"
NODE = ROOT / "bench" / "peers" / "node"
ROOMS = 200
GUNICORN = ("-W", "ignore", "-m", "gunicorn", "-k", "eventlet", "-w", "1", "app:app")


class Server(Program):
    """One worker of a peer, pinned to some cores; it ends with whoever started it, whatever happens."""

    def __init__(
        self, folder: Path, cores: str, words: list[str], where: Path, **environment: str
    ) -> None:
        self.port = free_port()
        pinned = ["setpriv", "--pdeathsig", "KILL", "taskset", "-c", cores]
        words = [word.format(port=self.port) for word in words]
        super().__init__(folder, pinned + words, self._is_well, PORT=str(self.port), **environment)
        self.where = where

    def _is_well(self) -> bool:
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self.port}/healthz", timeout=5
            ) as response:
                return bool(response.status == 200)
        except (urllib.error.URLError, OSError):
            return False


@dataclass(frozen=True)
class Peer:
    """A chat to compare with.

    `server` is called with a folder for its log, one for its data, cores and settings. `prepare` is called before the
    servers of a run start, with the folder of their data and a folder that is kept until the benchmark ends.
    """

    name: str  # as PEERS= names it
    title: str
    server: Callable[..., Server]
    database: str  # in the folder of the run
    prepare: Callable[[Path, Path], None] = lambda data, kept: None
    install: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class Installation:
    """A tree of Confab and the Python that has its packages.

    It may be another commit with another structure and another schema. So its code is never imported here, and its
    database is made by its own server.
    """

    tree: Path
    python: str = sys.executable

    def peer(self, name: str, title: str) -> Peer:
        """This Confab as one of the peers."""
        return Peer(name, title, self.server, "instance/confab.db", prepare=self.prepare)

    def server(self, folder: Path, data: Path, cores: str, **environment: str) -> Server:
        """One worker, not started yet, that keeps what it stores in `data`."""
        passed = {name: value for name, value in os.environ.items() if name == "ENGINE"}
        settings = {"INSTANCE": str(data / "instance"), "LIMITS": "off"}
        words = [self.python, *GUNICORN, "-b", "127.0.0.1:{port}"]
        return Server(folder, cores, words, self.tree, **settings, **passed, **environment)

    def prepare(self, data: Path, kept: Path) -> None:
        """Copy an instance with the rooms r0, r1, ... into `data`; it is made once and kept in `kept`."""
        made = kept / f"rooms-of-{self.tree.name}"
        if not made.exists():
            unfinished = kept / f"unfinished-{made.name}"
            self._make_rooms(unfinished)
            unfinished.rename(made)
        shutil.copytree(made / "instance", data / "instance")

    def _make_rooms(self, folder: Path) -> None:
        """Visit the pages of the rooms, which makes them."""
        our_cores = ",".join(map(str, os.sched_getaffinity(0)))
        server = self.server(folder, folder, our_cores)
        try:
            server.start()
            for number in range(ROOMS):
                with urllib.request.urlopen(
                    f"http://127.0.0.1:{server.port}/r{number}/", timeout=30
                ) as page:
                    page.read()
        finally:
            server.stop()


def _plain(folder: Path, data: Path, cores: str, **environment: str) -> Server:
    words = [
        sys.executable,
        *GUNICORN,
        "--worker-connections",
        "10000",
        "--log-level",
        "warning",
        "-b",
        "127.0.0.1:{port}",
    ]
    return Server(folder, cores, words, PLAIN, DATABASE=str(data / "chat.db"), **environment)


def _node(folder: Path, data: Path, cores: str, **environment: str) -> Server:
    return Server(
        folder, cores, ["node", "server.mjs"], NODE, DATABASE=str(data / "chat.db"), **environment
    )


def _node_tuned(folder: Path, data: Path, cores: str, **environment: str) -> Server:
    return _node(folder, data, cores, TUNED="1", **environment)


def _install_node() -> None:
    lock, installed = NODE / "package-lock.json", NODE / "node_modules" / "installed.json"
    if installed.exists() and installed.read_bytes() == lock.read_bytes():
        return
    sys.stdout.write(
        "Installing what bench/peers/node pins; without a ready-made better-sqlite3 this takes minutes.\n"
    )
    subprocess.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=NODE, check=True, timeout=900)
    shutil.copy(lock, installed)


CONFAB, AGAIN, BEFORE, REFERENCE = "confab", "confab-again", "before", "node"
THIS_TREE = Installation(ROOT)
PEERS = {
    each.name: each
    for each in (
        THIS_TREE.peer(CONFAB, "Confab"),
        Peer(REFERENCE, "Node socket.io", _node, "chat.db", install=_install_node),
        Peer("node-tuned", "Node, tuned", _node_tuned, "chat.db", install=_install_node),
        Peer("plain", "plain Flask-SocketIO", _plain, "chat.db"),
    )
}
CONTROL = THIS_TREE.peer(AGAIN, "Confab again")
ALL_PEERS = {
    **PEERS,
    AGAIN: CONTROL,
}  # CONTROL is for pairs of runs only; ratios and the picture are of PEERS

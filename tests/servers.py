"""Real programs for the tests: started on free ports, in folders of their own, and stopped by their process ids."""

import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine

ROOT = Path(__file__).resolve().parent.parent
LAUNCHER = (sys.executable, "-I", "-S", str(Path(__file__).with_name("default_signals.py")))
START_SECONDS = 30.0
STOP_SECONDS = 15.0


def wait_until(condition: Callable[[], object], seconds: float = 10.0, what: str = "") -> None:
    """Wait until something is so; fail, saying what it was, when it does not become so."""
    give_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up, f"not within {seconds:g} seconds: {what or condition}"
        time.sleep(0.01)


def with_default_signals(words: Sequence[str]) -> list[str]:
    """The command line that runs a command with default signal handling, whatever this process ignores or blocks.

    It is for every process that is ended by a signal other than SIGKILL.
    """
    return [*LAUNCHER, *words]


def free_port() -> int:
    """A port nobody listens on, nor will by chance.

    It is below those the system gives to outgoing connections: a server that is away for a moment finds it free again.
    """
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = random.randrange(10_000, lowest)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def bound_by_permissions() -> tuple[str, ...]:
    """Words before a command that make the permissions of files count for root too."""
    return ("setpriv", "--bounding-set=-all", "--inh-caps=-all") if os.geteuid() == 0 else ()


class Program:
    """A program in a process group of its own, which writes its log to a file. It may be killed and started again."""

    def __init__(
        self, folder: Path, words: Sequence[str], answers: Callable[[], bool], **environment: str
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.words = list(words)
        self.where = ROOT
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "LANG": "C.UTF-8",
            **environment,
        }
        self._answers = answers
        self._log = folder / "log"
        self._started: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; return when it answers."""
        with self._log.open("ab") as log:
            self._started = started = subprocess.Popen(
                with_default_signals(self.words),
                cwd=self.where,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        wait_until(
            lambda: started.poll() is not None or self._answers(),
            START_SECONDS,
            f"{self.words} answers",
        )
        assert started.poll() is None, f"{self.words} ended:\n{self.log()}"

    def kill(self) -> None:
        """Kill it and all its children, as a power cut would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Ask it to end, and wait; what is left of it then is killed. Nothing happens when it does not run."""
        self._end(signal.SIGTERM)

    def processes(self) -> list[int]:
        """The ids of the program's processes, the one we started first."""
        assert self._started is not None
        first = self._started.pid
        everybody = (int(each.name) for each in Path("/proc").iterdir() if each.name.isdecimal())
        ours = (pid for pid in everybody if _group(pid) == first)
        return sorted(
            ours, key=lambda pid: (pid != first, pid)
        )  # numbers begin anew after the largest

    def log(self) -> str:
        """All it has written, over all its starts."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def _end(self, how: signal.Signals) -> None:
        started, self._started = self._started, None
        if started is None:
            return
        with suppress(ProcessLookupError):  # it may have ended by itself
            (os.killpg if how is signal.SIGKILL else os.kill)(started.pid, how)
        try:
            started.wait(STOP_SECONDS)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(started.pid, signal.SIGKILL)
            started.wait()


class ConfabServer(Program):
    """A Confab that serves; its database is in its folder, unless DATABASE_URL says otherwise."""

    def __init__(
        self, folder: Path, server: Callable[[int], list[str]], **environment: str
    ) -> None:
        self.folder = folder
        self._server = server
        settings = {"INSTANCE": str(folder / "instance"), "LIMITS": "off", "PYTHONUNBUFFERED": "1"}
        settings["ENGINE"] = os.environ.get(
            "ENGINE", "on"
        )  # all that has no say of its own may be tried without it
        super().__init__(folder, [], self._is_well, **settings | environment)
        self.move(free_port())

    @property
    def url(self) -> str:
        """Its address, without a slash at the end."""
        return f"http://127.0.0.1:{self.port}"

    def move(self, port: int) -> None:
        """Be at another port from the next start on."""
        self.port = port
        self.words = self._server(port)

    def page(self, path: str) -> str:
        """The text of a page; a room's page makes the room."""
        with urllib.request.urlopen(self.url + path, timeout=30) as response:
            return str(response.read().decode())

    def room(self, label: str) -> str:
        """Make a room; its label."""
        self.page(f"/{label}/")
        return label

    def head(self, label: str) -> int:
        """How many changes the page of a room knows of."""
        found = re.search(r'"head": ?(\d+)', self.page(f"/{label}/"))
        assert found
        return int(found[1])

    @contextmanager
    def database(self) -> Iterator[Engine]:
        """The database behind the server's back."""
        default = f"sqlite:///{self.environment['INSTANCE']}/confab.db"
        url = self.environment.get("DATABASE_URL", default)
        engine = create_engine(url.replace("postgresql:", "postgresql+psycopg2:"))
        try:
            yield engine
        finally:
            engine.dispose()

    def _is_well(self) -> bool:
        try:
            return bool(self.page("/healthz"))
        except (urllib.error.URLError, OSError):
            return False


@contextmanager
def flask_run(folder: Path, **environment: str) -> Iterator[ConfabServer]:
    """What `make run` serves with."""
    words = [sys.executable, "-m", "flask", "--app", "app", "run", "--port"]
    with _serving(ConfabServer(folder, lambda port: [*words, str(port)], **environment)) as server:
        yield server


@contextmanager
def gunicorn(folder: Path, workers: int = 1, **environment: Any) -> Iterator[ConfabServer]:
    """What serves for real."""
    words = [
        sys.executable,
        "-m",
        "gunicorn",
        "-k",
        "eventlet",
        "-w",
        str(workers),
        "app:app",
        "-b",
    ]
    with _serving(
        ConfabServer(folder, lambda port: [*words, f"127.0.0.1:{port}"], **environment)
    ) as server:
        yield server


SERVERS: dict[str, Callable[..., AbstractContextManager[ConfabServer]]] = {
    "flask run": flask_run,
    "gunicorn": gunicorn,
    "gunicorn with its engine off": partial(gunicorn, ENGINE="off"),
}


@contextmanager
def _serving(server: ConfabServer) -> Iterator[ConfabServer]:
    """A server from its start to its end; whatever the tests do to it, it has no reason for a traceback."""
    try:
        server.start()
        yield server
        assert "Traceback" not in server.log(), server.log()
    finally:
        server.stop()


def cpu_seconds(pid: int) -> float:
    """The time a process has had of a processor, to the microsecond; threads that have ended are not counted."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9


def resident_bytes(pid: int) -> int:
    """The memory a process has in use."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _group(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None

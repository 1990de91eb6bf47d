"""Server processes for the tests, on free ports and in temporary folders, stopped by process id."""

import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, Self

from sqlalchemy import Engine, create_engine

ROOT = Path(__file__).resolve().parent.parent
LAUNCHER = (sys.executable, "-I", "-S", str(Path(__file__).with_name("default_signals.py")))
START_SECONDS = 30.0
STOP_SECONDS = 15.0
CPU_WAIT_SAMPLE_SECONDS = 0.1
CPU_WAIT_SAMPLES_PER_SEARCH = 10  # for new processes
LOWEST_FREE_PORT = 10_000
# /proc/<pid>/net/tcp, see proc_pid_net(5)
LOCAL_ADDRESS_COLUMN = 1
STATE_COLUMN = 3
INODE_COLUMN = 9
START_TIME_INDEX = 19  # among the fields of /proc/<pid>/stat after the name
LISTEN = "0A"


def wait_until(condition: Callable[[], object], seconds: float = 10.0, what: str = "") -> None:
    """Wait until the condition is true; fail after `seconds`, with `what` as the explanation."""
    give_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up, f"not within {seconds:g} seconds: {what or condition}"
        time.sleep(0.01)


class CpuWaits:
    """Records for how long processes have waited for a CPU, while it is used as a context manager.

    That depends on what else the machine does, and is no delay that a server can avoid.
    """

    def __init__(self, pids: Callable[[], list[int]]) -> None:
        self._pids = pids
        self._times = [time.time()]
        self._totals = [0.0]  # for how long the process that waited most had waited until then
        self._is_running = True
        self._thread = threading.Thread(target=self._record, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_running = False
        self._thread.join()

    @property
    def last_at(self) -> float:
        """When the last sample was taken, in seconds since 1970."""
        return self._times[-1]

    def between(self, begin: float, end: float) -> float:
        """Return for how many seconds the processes have waited in an interval.

        At most its length. The times are in seconds since 1970.
        """
        first = max(0, bisect_right(self._times, begin) - 1)
        last = min(len(self._totals) - 1, bisect_left(self._times, end))
        return min(end - begin, self._totals[last] - self._totals[first])

    def _record(self) -> None:
        before: dict[int, float] = {}
        pids: list[int] = []
        for number in count():
            if not self._is_running:
                return
            if number % CPU_WAIT_SAMPLES_PER_SEARCH == 0:
                pids = self._pids()
            now = time.time()
            waits = {pid: waited_for_cpu(pid) for pid in pids}
            waited = max(
                (max(0, wait - before.get(pid, wait)) for pid, wait in waits.items()), default=0
            )
            before = waits
            self._totals.append(self._totals[-1] + min(waited, now - self._times[-1]))
            self._times.append(now)
            time.sleep(CPU_WAIT_SAMPLE_SECONDS)


def waited_for_cpu(pid: int) -> float:
    """Return for how many seconds the main thread of a process has waited for a CPU.

    0 when the process has ended. See proc_pid_schedstat(5).
    """
    with suppress(FileNotFoundError, ProcessLookupError):
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
    return 0


def with_default_signals(words: Sequence[str]) -> list[str]:
    """Return the command line that runs a command with default signal handling.

    A process inherits which signals are ignored and blocked. So this is needed for every process
    that is ended by a signal other than SIGKILL.
    """
    return [*LAUNCHER, *words]


def free_port() -> int:
    """Return a port that nothing listens on.

    It is below the range of outgoing connections: a server that restarts finds it still free.
    """
    lowest_outgoing = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = random.randrange(LOWEST_FREE_PORT, lowest_outgoing)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def bound_by_permissions() -> tuple[str, ...]:
    """Return words to put before a command so that file permissions apply to root too."""
    if os.geteuid() != 0:
        return ()
    return ("setpriv", "--bounding-set=-all", "--inh-caps=-all")


class Program:
    """A process group that logs to a file in its folder. It can be killed and started again.

    `answers` is a function that returns whether the program is ready.
    """

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
        """Start the program; return when it is ready."""
        with self._log.open("ab") as log:
            started = subprocess.Popen(
                with_default_signals(self.words),
                cwd=self.where,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._started = started
        wait_until(
            lambda: started.poll() is not None or self._answers(),
            START_SECONDS,
            f"{self.words} answers",
        )
        assert started.poll() is None, f"{self.words} ended:\n{self.log()}"

    def kill(self) -> None:
        """Kill the program and all its children with SIGKILL, as a power failure would."""
        if self._started is not None:
            with suppress(ProcessLookupError):  # it may have ended by itself
                os.killpg(self._started.pid, signal.SIGKILL)
        self._wait_for_end()

    def stop(self) -> None:
        """End the program with SIGTERM, wait, and kill what is left. Does nothing when stopped."""
        self._end(signal.SIGTERM)

    @property
    def has_ended(self) -> bool:
        """Whether the program that was started has ended by itself."""
        return self._started is not None and self._started.poll() is not None

    def processes(self) -> list[int]:
        """Return the ids of the program's processes, in the order in which they started."""
        assert self._started is not None
        first = self._started.pid
        all_pids = [int(each.name) for each in Path("/proc").iterdir() if each.name.isdecimal()]
        ours = [pid for pid in all_pids if _process_group(pid) == first]
        # An older process does not always have a lower id: ids start again after the largest.
        return sorted(ours, key=lambda pid: (pid != first, _start_time(pid), pid))

    def log(self) -> str:
        """Return all output, of all starts."""
        if not self._log.exists():
            return ""
        return self._log.read_text(errors="replace")

    def _end(self, how: signal.Signals) -> None:
        """Send a signal to the first process, wait for its end, and kill the rest of the group."""
        if self._started is not None:
            with suppress(ProcessLookupError):  # it may have ended by itself
                os.kill(self._started.pid, how)
        self._wait_for_end()

    def _wait_for_end(self) -> None:
        started = self._started
        self._started = None
        if started is None:
            return
        try:
            started.wait(STOP_SECONDS)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(started.pid, signal.SIGKILL)
            started.wait()


class ConfabServer(Program):
    """A Confab server. Its database is in its folder, unless DATABASE_URL is given.

    `server` is a function that returns the command line for a port.
    """

    def __init__(
        self, folder: Path, server: Callable[[int], list[str]], **environment: str
    ) -> None:
        self.folder = folder
        self._server = server
        settings = {
            "INSTANCE": str(folder / "instance"),
            "LIMITS": "off",
            # Neither Confab nor `flask run` reads the .env of whoever runs the tests.
            "ENV_FILE": os.devnull,
            "FLASK_SKIP_DOTENV": "1",
            "PYTHONUNBUFFERED": "1",
            # With ENGINE=off before pytest, all tests that do not choose run with the engine off.
            "ENGINE": os.environ.get("ENGINE", "on"),
        }
        super().__init__(folder, [], self.is_ready, **settings | environment)
        self.move(free_port())

    @property
    def url(self) -> str:
        """The server's URL, without a slash at the end."""
        return f"http://127.0.0.1:{self.port}"

    def move(self, port: int) -> None:
        """Use another port from the next start on."""
        self.port = port
        self.words = self._server(port)

    def page(self, path: str) -> str:
        """Return the text of a page. Requesting a room's page creates the room."""
        with urllib.request.urlopen(self.url + path, timeout=30) as response:
            return str(response.read().decode())

    def room(self, label: str) -> str:
        """Create a room; return its label."""
        self.page(f"/{label}/")
        return label

    def head(self, label: str) -> int:
        """Return the head of a room, as its page states it."""
        found = re.search(r'"head": ?(\d+)', self.page(f"/{label}/"))
        assert found
        return int(found[1])

    @contextmanager
    def database(self) -> Iterator[Engine]:
        """Open the server's database with an engine of our own."""
        default = f"sqlite:///{self.environment['INSTANCE']}/confab.db"
        url = self.environment.get("DATABASE_URL", default)
        engine = create_engine(url.replace("postgresql:", "postgresql+psycopg2:"))
        try:
            yield engine
        finally:
            engine.dispose()

    def is_ready(self) -> bool:
        """Return whether the server answers requests."""
        try:
            return bool(self.page("/healthz"))
        except (urllib.error.URLError, OSError):
            return False


@contextmanager
def flask_run(folder: Path, **environment: str) -> Iterator[ConfabServer]:
    """Run `flask run`, as `make run` does."""

    def command_line(port: int) -> list[str]:
        return [sys.executable, "-m", "flask", "--app", "app", "run", "--port", str(port)]

    with _serving(ConfabServer(folder, command_line, **environment)) as server:
        yield server


@contextmanager
def gunicorn(
    folder: Path, workers: int = 1, app: str = "app:app", **environment: Any
) -> Iterator[ConfabServer]:
    """Run gunicorn with eventlet workers, as in production."""

    def command_line(port: int) -> list[str]:
        options = ["-k", "eventlet", "-w", str(workers), "-b", f"127.0.0.1:{port}"]
        return [sys.executable, "-m", "gunicorn", *options, app]

    with _serving(ConfabServer(folder, command_line, **environment)) as server:
        yield server


SERVERS: dict[str, Callable[..., AbstractContextManager[ConfabServer]]] = {
    "flask run": flask_run,
    "gunicorn": gunicorn,
    "gunicorn with its engine off": partial(gunicorn, ENGINE="off"),
}

_GUNICORN = [sys.executable, "-m", "gunicorn", "-w", "1", "tests.impatient:app", "-k"]
IMPATIENT_SERVERS: dict[str, tuple[list[str], dict[str, str]]] = {  # a command and its settings
    "flask run": ([sys.executable, "-m", "flask", "--app", "tests.impatient", "run", "--port"], {}),
    "gunicorn": ([*_GUNICORN, "eventlet", "-b"], {}),
    "gunicorn with its engine off": ([*_GUNICORN, "eventlet", "-b"], {"ENGINE": "off"}),
    "gunicorn with gevent": ([*_GUNICORN, "gevent", "-b"], {}),
}


@contextmanager
def impatient(folder: Path, mode: str) -> Iterator[ConfabServer]:
    """Run a server with the short time limits of tests/impatient.py; see IMPATIENT_SERVERS."""
    words, environment = IMPATIENT_SERVERS[mode]
    host = "" if "flask" in words else "127.0.0.1:"

    def command_line(port: int) -> list[str]:
        return [*words, f"{host}{port}"]

    with _serving(ConfabServer(folder, command_line, **environment)) as server:
        yield server


@contextmanager
def _serving(server: ConfabServer) -> Iterator[ConfabServer]:
    """Start a server, and stop it in the end. No test may make it log a traceback."""
    try:
        server.start()
        yield server
        assert "Traceback" not in server.log(), server.log()
    finally:
        server.stop()


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process, to the microsecond, without threads that have ended."""
    total_ns = 0
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
            total_ns += int((thread / "schedstat").read_text().split()[0])
    return total_ns / 1e9


def resident_bytes(pid: int) -> int:
    """Return the resident memory of a process in bytes."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def written_bytes(pid: int) -> int:
    """Return how much a process has written to files; sockets do not count."""
    written = re.search(r"^wchar: (\d+)", Path(f"/proc/{pid}/io").read_text(), re.MULTILINE)
    assert written
    return int(written[1])


def open_connections(pid: int, port: int) -> int:
    """Return how many TCP connections to a port of this machine a process has open.

    Files and other sockets do not count: the worker opens some of them at any time, such as those
    that wake up its threads.
    """
    connections = _tcp_connections(pid, port)
    number = 0
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # it has been closed meanwhile
            number += str(descriptor.readlink()) in connections
    return number


def _tcp_connections(pid: int, port: int) -> set[str]:
    """Return the TCP connections to a port, as they are named in /proc/<pid>/fd."""
    rows = [
        line.split()
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]
    ]
    return {
        f"socket:[{row[INODE_COLUMN]}]"
        for row in rows
        if row[STATE_COLUMN] != LISTEN and row[LOCAL_ADDRESS_COLUMN].endswith(f":{port:04X}")
    }


def _start_time(pid: int) -> int:
    """Return when a process started, in ticks since the machine did; 0 if it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return int(fields[START_TIME_INDEX])


def _process_group(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None

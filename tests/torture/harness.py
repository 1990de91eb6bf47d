"""The harness of the fault scenarios: their definition, and the clients and servers of one run."""

import json
import random
import re
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path
from typing import Any, TypeAlias

from tests.servers import ROOT, ConfabServer, with_default_signals
from tests.services import Postgres, Redis
from tests.torture.checker import check, superseded_texts
from tests.torture.history import History, Record, StoredRoom, of_type, read_room
from tests.torture.host import Host
from tests.torture.proxy import AcknowledgementLoss, MessageShuffler, Proxy
from tests.torture.verdict import Verdict

MAX_DELAY_MS = 3_500
"""The promise: how late a message may be while the database is up."""

MAX_CALM_DELAY_MS = 1_000
"""How late a message may be while nothing is wrong."""

CLIENT_DEADLINE_SECONDS = 150.0
"""How long clients run beyond the faults at most; then they exit by themselves."""

CLIENT_EXIT_SECONDS = 90.0

CONVERGE_SECONDS = 10.0
"""How long clients may take at the end until they have everything, before it counts as lost.

More than their longest pause between two attempts to reconnect.
"""

POLLING_CONVERGE_SECONDS = 45.0
"""The same with clients that poll: they may notice only by a missing ping that they are cut off.

That is after 25 s with python-socketio and after 35 s with socket.io-client.
"""

STOCK_POST_SECONDS = 25.0
"""Between two messages of a stock client, at a rate of one request per second."""

DISCONNECT_SECONDS = 5.0
"""How long the servers may take to release the connections of clients that have left."""

BLOCKED_LOG = re.compile(r"(?:blocked for|on this worker waited) (\d+) ms")
"""What the watchdog of a worker logs when its event loop was blocked."""

FaultInjection: TypeAlias = Generator[None, Verdict, None]
"""Injects the faults of a scenario, yields once, receives the verdict and checks its limits."""


class Need(Enum):
    """What a scenario needs besides one server with two workers."""

    ONE_WORKER = auto()
    TWO_HOSTS = auto()  # with one worker each; two workers of one host may serve unequally
    EARLIER_RELEASE = auto()  # two hosts, each with files of its own: of an earlier release
    SHIFTED_CLOCK = auto()  # two hosts, and the clock of the second can be changed
    PROXY_FOR_HALF = auto()  # every second client connects through a proxy
    PROXY_FOR_ALL = auto()
    POLLING_PROXY_FOR_HALF = auto()  # a proxy that refuses WebSocket
    REDIS_PROXY = auto()
    SMALL_DISK = auto()
    SHORT_PINGS = auto()  # a ping timeout of 2 s, see tests/short_pings.py
    HOST = auto()  # the room has a host, who acts on the clients


TransportChoice: TypeAlias = tuple[tuple[str, ...] | None, ...]
"""What the clients of one kind use in turn: lists of transports, or None for their default."""


@dataclass(frozen=True)
class Transports:
    """The transports of the clients of a scenario."""

    pages: TransportChoice
    """Of bots too."""
    node: TransportChoice
    python: TransportChoice


PROXY_NEEDS = frozenset({Need.PROXY_FOR_HALF, Need.PROXY_FOR_ALL, Need.POLLING_PROXY_FOR_HALF})
TWO_HOSTS_NEEDS = frozenset({Need.TWO_HOSTS, Need.EARLIER_RELEASE, Need.SHIFTED_CLOCK})


@dataclass(frozen=True)
class Scenario:
    """A fault scenario: its faults, its clients, and what it needs."""

    number: str
    title: str
    inject: Callable[["ScenarioRun"], FaultInjection]
    databases: tuple[str, ...] = ("SQLite",)
    page_clients: int = 20
    senders: int = 20
    """How many of the page clients send requests, at most."""
    rate: float = 20
    """Requests per second, of all page clients. With the default number of senders, each of them
    sends 0.6 messages a second and reaches no rate limit."""
    bots: int = 5
    node_clients: int = 2
    """Stock JavaScript clients. Those with an odd number post, the others only receive."""
    python_clients: int = 2
    """Stock Python clients, likewise."""
    stock_senders: int = 20
    """How many stock clients of each kind post, at most."""
    needs: frozenset[Need] = frozenset()
    exact_clock: bool = True
    """Whether the servers' times of changes can be compared with the clients' times."""
    disconnect_seconds: float = DISCONNECT_SECONDS
    end: Callable[["ScenarioRun"], None] | None = None
    """What is done last, when the clients have reported what they show. It checks limits too."""
    short: bool = False
    """The variant for the selection that runs with all other tests."""
    workers: int = 2
    """How many workers the server has, unless its needs include one worker or two hosts."""
    transports: Transports | None = None
    """Those of the clients. Without them, pages and bots use WebSocket, and so do stock clients,
    except that they use their defaults with a single worker."""

    @property
    def workers_per_host(self) -> int:
        """How many workers each server has."""
        has_one_worker = Need.ONE_WORKER in self.needs or self.needs & TWO_HOSTS_NEEDS
        return 1 if has_one_worker else self.workers


@dataclass(frozen=True)
class LimitCheck:
    """A measured value and its upper limit."""

    name: str
    value: float
    limit: float


@dataclass
class Outcome:
    """The result of one run of a scenario."""

    scenario: Scenario
    database: str
    seed: int
    verdict: Verdict = field(default_factory=Verdict)
    limit_checks: list[LimitCheck] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    """Whatever else is wrong."""
    seconds: float = 0

    @property
    def failures(self) -> list[str]:
        """Every violation of the promise, exceeded limit and other problem."""
        violations = [f"{kind}: {count} times" for kind, count in self.verdict.findings.items()]
        exceeded = [
            f"{limited.name}: {limited.value:,.0f} instead of {limited.limit:,.0f}"
            for limited in self.limit_checks
            if limited.value > limited.limit
        ]
        return [*violations, *exceeded, *self.problems]


class ClientProcess:
    """A process with many clients, which takes orders. Its errors go to a file in `folder`."""

    def __init__(
        self, name: str, command: list[str], plan: dict[str, Any], folder: Path, tree: Path
    ) -> None:
        self._name = name
        with (folder / f"{name}.log").open("a") as log:
            self._process = subprocess.Popen(
                [*command, json.dumps(plan)],
                cwd=tree,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def order(self, order: str) -> None:
        """Send an order."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{order}\n")
        self._process.stdin.flush()

    def wait_for(self, reply: str) -> None:
        """Wait until the process replies."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line == f"{reply}\n", f"the {self._name} replied {line!r} instead of {reply!r}"

    def wait_for_exit(self) -> None:
        """Wait until the process has ended."""
        exit_code = self._process.wait(CLIENT_EXIT_SECONDS)
        assert exit_code == 0, f"the {self._name} exited with {exit_code}"

    def kill(self) -> None:
        """Kill the process, whatever it is doing."""
        self._process.kill()
        self._process.communicate()


class ScenarioRun:
    """One run of a scenario, with its servers, services and clients (see environment.py)."""

    redis: Redis
    postgres: Postgres
    proxy: Proxy  # between clients and the first server
    acknowledgement_loss: AcknowledgementLoss
    redis_proxy: Proxy
    host: Host
    shuffler: MessageShuffler

    def __init__(self, folder: Path, outcome: Outcome, full: bool, tree: Path = ROOT) -> None:
        self.folder = folder
        self.outcome = outcome
        self.scenario = outcome.scenario
        self.full = full
        self.tree = tree
        self.rng = random.Random(outcome.seed)
        self.history = History(folder / "history")
        self.servers: list[ConfabServer] = []
        self.cleanup = ExitStack()
        self.label = "kitchen"
        self._superseded_texts: list[str] = []
        self.stored: dict[str, StoredRoom] = {}  # when the clients had reported what they show
        self._clients: list[ClientProcess] = []
        self._log_lengths: list[int] = []  # of the servers, when all clients had connected

    @property
    def server(self) -> ConfabServer:
        """The first host."""
        return self.servers[0]

    def workers(self) -> list[int]:
        """Return the process ids of the workers of all hosts."""
        return [pid for server in self.servers for pid in server.processes()[1:]]

    def pause(self, seconds: float) -> None:
        """Let the clients send for about this long; the seed decides how long exactly."""
        time.sleep(seconds * self.rng.uniform(0.8, 1.2))

    def record_healed(self) -> float:
        """Record that a fault is over; return the time in milliseconds."""
        return self.history.record("healed")

    def order_all(self, order: str) -> None:
        """Send an order to all clients: "send" or "hold"."""
        for clients in self._clients:
            clients.order(order)

    def reload(self, client: str) -> None:
        """Load the page of a page client again."""
        self._clients[0].order(f"reload {client}")
        self._clients[0].wait_for("done")

    def mark_of(self, client: str) -> str:
        """Return the mark of a page client."""
        found = [record for record in self._identities() if record["client"] == client]
        assert found, f"{client} has no identity"
        return str(found[-1]["mark"])

    def _identities(self) -> Iterator[Record]:
        return of_type(self.history.records(), "identity")

    def at_most(self, name: str, value: float, limit: float) -> None:
        """Check a measured value against its limit."""
        self.outcome.limit_checks.append(LimitCheck(name, value, limit))

    def at_least(self, name: str, value: float, minimum: float) -> None:
        """Check that enough happened for the scenario to be meaningful."""
        if value < minimum:
            self.outcome.problems.append(f"{name}: {value:,.0f} instead of at least {minimum:,.0f}")

    def longest_block_ms(self) -> float:
        """Return how long an event loop was blocked at most, since all clients had connected."""
        longest = 0.0
        for server, length in zip(self.servers, self._log_lengths, strict=True):
            for milliseconds in BLOCKED_LOG.findall(server.log()[length:]):
                longest = max(longest, float(milliseconds))
        return longest

    @contextmanager
    def clients(self, seconds: float = 0) -> Iterator[None]:
        """Run all clients, which send while the body of the `with` statement is executed.

        Afterwards they converge, receive a probe and report what they show. `seconds` is how long
        the body takes beyond the usual.
        """
        try:
            self._start_clients(seconds)
            for clients in self._clients:
                clients.wait_for("ready")
            self._log_lengths = [len(server.log()) for server in self.servers]
            self.order_all("send")
            yield
            self._order_and_wait("converge")
            self._order_and_wait(f"probe probe-{secrets.token_hex(8)}")
            self._order_and_wait("report")
            self.stored = self._read_rooms()
            self.history.record("reported")
            if self.scenario.end is not None:
                self.scenario.end(self)
            self.order_all("finish")
            for clients in self._clients:
                clients.wait_for_exit()
        finally:
            for clients in self._clients:
                clients.kill()
            self.history.flush()

    def check_history(self) -> Verdict:
        """Check the history against the database; return the verdict and keep it."""
        [reported] = of_type(self.history.records(), "reported")
        records = [each for each in self.history.records() if each["at"] <= reported["at"]]
        self._superseded_texts = superseded_texts(records, self.stored)
        verdict = check(records, self.stored, self.scenario.exact_clock)
        self.outcome.verdict = verdict
        return verdict

    def stored_head(self) -> int:
        """Return the present head of the room in the database."""
        with self.server.database() as engine:
            return read_room(engine, self.label).head

    def _read_rooms(self) -> dict[str, StoredRoom]:
        labels = (self.label, f"{self.label}-next-door")
        with self.server.database() as engine:
            return {label: read_room(engine, label) for label in labels}

    def check_database_files(self) -> None:
        """I9, after the servers have ended: SQLite's files do not contain deleted text."""
        for file in self.folder.glob("instance/*.db*"):
            content = file.read_bytes()
            for text in self._superseded_texts:
                if text.encode() in content:
                    self.outcome.verdict.add_finding(
                        "I9 deleted text is still in a database file", (file.name, text)
                    )

    def _start_clients(self, seconds: float) -> None:
        node = shutil.which("node")
        assert node, "the fault scenarios need node"
        scripts = self.tree / "tests" / "torture"
        plan = self._plan(seconds)
        transports = self._transports()
        page_plan = plan | self._page_plan() | {"transports": transports.pages}
        stock_plan = plan | self._stock_plan()
        node_plan = {"clients": self.scenario.node_clients, "transports": transports.node}
        python_plan = {"clients": self.scenario.python_clients, "transports": transports.python}
        self.server.room(self.label)  # stock clients do not load the page, which creates the room
        if Need.HOST in self.scenario.needs:
            self.host = Host(self.server.url, self.label, self.history)
            self.host.become_host()
        commands = {
            "page clients": ([node, str(scripts / "people.mjs")], page_plan),
            "stock clients": (
                [node, str(scripts / "stock_clients.mjs")],
                stock_plan | node_plan,
            ),
            "stock Python clients": (
                [sys.executable, "-m", "tests.torture.stock_clients"],
                stock_plan | python_plan,
            ),
        }
        self._clients = []
        for name, (command, process_plan) in commands.items():
            with _termination_delayed():  # a process that runs is in the list, and will be killed
                words = with_default_signals(command)
                started = ClientProcess(name, words, process_plan, self.folder, self.tree)
                self._clients.append(started)

    def _plan(self, seconds: float) -> dict[str, Any]:
        """Return what all clients need to know."""
        urls = [server.url for server in self.servers]
        if self.scenario.needs & PROXY_NEEDS:
            urls.append(f"http://127.0.0.1:{self.proxy.port}")
        if Need.PROXY_FOR_ALL in self.scenario.needs:
            urls = urls[1:]
        has_polling = self.scenario.transports is not None
        return {
            "urls": urls,
            "label": self.label,
            "converge_seconds": POLLING_CONVERGE_SECONDS if has_polling else CONVERGE_SECONDS,
            "seed": self.outcome.seed,
            "history": str(self.history.path),
            "deadline_seconds": CLIENT_DEADLINE_SECONDS + seconds,
        }

    def _page_plan(self) -> dict[str, Any]:
        return {
            "clients": self.scenario.page_clients,
            "senders": min(self.scenario.senders, self.scenario.page_clients),
            "bots": self.scenario.bots,
            "rate": self.scenario.rate,
        }

    def _stock_plan(self) -> dict[str, Any]:
        return {
            "senders": self.scenario.stock_senders,
            "post_seconds": STOCK_POST_SECONDS / self.scenario.rate,
        }

    def _transports(self) -> Transports:
        if self.scenario.transports is not None:
            return self.scenario.transports
        stock: TransportChoice = (("websocket",),)
        if self.scenario.workers_per_host == 1:
            stock = (None,)
        return Transports(pages=(None,), node=stock, python=stock)

    def _order_and_wait(self, order: str) -> None:
        self.order_all(order)
        for clients in self._clients:
            clients.wait_for("done")


@contextmanager
def _termination_delayed() -> Iterator[None]:
    """Let SIGTERM arrive afterwards."""
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)

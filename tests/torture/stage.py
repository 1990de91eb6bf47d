"""The stage of an evening: real servers and services on free ports, people in Node, and what they leave behind."""

import json
import os
import random
import re
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.servers import ROOT, ConfabServer, resident_bytes, wait_until
from tests.services import Postgres, Redis, redis
from tests.torture.checker import Verdict, check, taken_back
from tests.torture.history import History, stored
from tests.torture.proxy import Forgetful, Muddled, Proxy

DEADLINE_SECONDS = (
    150.0  # of the people, beyond the length of the faults: then they go home by themselves
)
STOCK_POST_SECONDS = (
    20.0  # between two messages of a stock client, at a rate of one message per second
)
GROWTH_BYTES = 30_000_000
LOG_BYTES = 1_000_000
LETTING_GO_SECONDS = 5.0
LATE_MS = 3_500  # the promise
CALM_MS = 1_000  # when nothing is wrong

LINES = {
    "bad line",
    "only bad line",
    "polling line",
}  # through a proxy, for every second client or for all

Nemesis = Generator[None, Verdict, None]  # does its faults, yields, and then judges what came of it


@dataclass(frozen=True)
class Fault:
    """One kind of bad evening: what happens, who is there, and what the evening needs."""

    number: str
    sentence: str
    nemesis: Callable[["Scenario"], Nemesis]
    databases: tuple[str, ...] = ("SQLite",)
    people: int = 10
    talkers: int = 4
    rate: float = 20
    bots: int = 1
    stock: int = 2  # stock clients of each kind: the even ones listen, the odd ones post too
    needs: frozenset[str] = frozenset()  # what the stage puts up beside two workers: see staged()
    exact_clock: bool = True
    let_go_seconds: float = LETTING_GO_SECONDS
    brief: bool = False  # for the selection

    @property
    def has_one_worker(self) -> bool:
        """Whether each of its servers has one worker, so that both transports are offered."""
        return bool(self.needs & {"one worker", "two hosts", "another clock"})


@dataclass
class Outcome:
    """A line of the closing table, and what was wrong."""

    fault: Fault
    database: str
    seed: int
    verdict: Verdict = field(default_factory=Verdict)
    limits: list[tuple[str, float, float]] = field(default_factory=list)  # what, how much, at most
    complaints: list[str] = field(default_factory=list)
    seconds: float = 0

    @property
    def broken(self) -> list[str]:
        """Everything that is not as promised."""
        beyond = [
            f"{what}: {value:,.0f} instead of {at_most:,.0f}"
            for what, value, at_most in self.limits
            if value > at_most
        ]
        return [
            *(f"{kind}: {count} times" for kind, count in self.verdict.findings.items()),
            *beyond,
            *self.complaints,
        ]


class Clients:
    """A process full of clients, which obeys orders. What it complains of is in a file of the evening's folder."""

    def __init__(
        self, what: str, words: list[str], plan: dict[str, Any], scenario: "Scenario"
    ) -> None:
        self._what = what
        with (scenario.folder / f"{what}.log").open("a") as log:
            self._process = subprocess.Popen(
                [*words, json.dumps(plan)],
                cwd=scenario.tree,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def order(self, order: str) -> None:
        """Give an order."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{order}\n")
        self._process.stdin.flush()

    def wait_for(self, answer: str) -> None:
        """Wait until the process answers."""
        assert self._process.stdout is not None
        got = self._process.stdout.readline()
        assert got == f"{answer}\n", f"the {self._what} were to answer {answer!r}: {got!r}"

    def wait_for_the_end(self) -> None:
        """Wait until all have left."""
        assert self._process.wait(90) == 0, f"the {self._what} did not come home"

    def kill(self) -> None:
        """End it, however far it is."""
        self._process.kill()
        self._process.communicate()


class Scenario:
    """One evening with one fault: the nemesis is handed this."""

    def __init__(self, folder: Path, outcome: Outcome, full: bool, tree: Path = ROOT) -> None:
        self.folder = folder
        self.outcome = outcome
        self.fault = outcome.fault
        self.full = full
        self.tree = tree
        self.rng = random.Random(outcome.seed)
        self.history = History(folder / "history")
        self.servers: list[ConfabServer] = []
        self.stack = ExitStack()
        self.label = "kitchen"
        self.taken_back: list[str] = []
        self._clients: list[Clients] = []
        self._said: list[int] = []  # how long the logs were when all had come in

    queue: Redis
    postgres_server: Postgres
    line: Proxy  # the bad one, for every second person
    forgetful: Forgetful
    queue_line: Proxy
    muddled: Muddled

    @property
    def server(self) -> ConfabServer:
        """The first host."""
        return self.servers[0]

    def workers(self) -> list[int]:
        """The processes that serve, on all hosts."""
        return [pid for server in self.servers for pid in server.processes()[1:]]

    def say(self, order: str) -> None:
        """Tell all clients: hush, or talk."""
        for clients in self._clients:
            clients.order(order)

    def pause(self, seconds: float) -> None:
        """Let them talk; random, but by the seed."""
        time.sleep(seconds * self.rng.uniform(0.8, 1.2))

    def healed(self) -> float:
        """The fault is over; when that was."""
        return self.history.mark("healed")

    def at_most(self, what: str, value: float, limit: float) -> None:
        """Hold a number against what is promised."""
        self.outcome.limits.append((what, value, limit))

    def at_least(self, what: str, value: float, limit: float) -> None:
        """Hold a number against what there must have been for the evening to mean anything."""
        if value < limit:
            self.outcome.complaints.append(
                f"{what}: only {value:,.0f}, and {limit:,.0f} were needed"
            )

    def hub_gap(self) -> float:
        """How long the worst of the workers kept everybody waiting at once, since all had come in, in ms."""
        said = (
            server.log()[before:] for server, before in zip(self.servers, self._said, strict=True)
        )
        gaps = [gap for log in said for gap in re.findall(r" waited (\d+) ms", log)]
        return max(map(float, gaps), default=0)

    @contextmanager
    def crowd(self, seconds: float = 0) -> Iterator[None]:
        """People and stock clients come in, talk while something happens, all receive a probe, and go home."""
        try:
            self._clients = self._start_clients(seconds)
            for clients in self._clients:
                clients.wait_for("ready")
            self._said = [len(server.log()) for server in self.servers]
            self.say("talk")
            yield
            self._say_and_wait("settle")
            self._say_and_wait(f"probe probe-{secrets.token_hex(8)}")
            self.say("home")
            for clients in self._clients:
                clients.wait_for_the_end()
        finally:
            for clients in self._clients:
                clients.kill()
            self.history.close()

    def _start_clients(self, seconds: float) -> list[Clients]:
        node = shutil.which("node")
        assert node, "the torture needs node"
        urls = [server.url for server in self.servers]
        if self.fault.needs & LINES:
            urls.append(f"http://127.0.0.1:{self.line.port}")
        if "only bad line" in self.fault.needs:
            del urls[0]
        plan = {
            "urls": urls,
            "label": self.label,
            "seed": self.outcome.seed,
            "history": str(self.history.path),
            "deadline_seconds": DEADLINE_SECONDS + seconds,
        }
        people = {
            "people": self.fault.people,
            "talkers": self.fault.talkers,
            "bots": self.fault.bots,
            "rate": self.fault.rate,
        }
        stock = {
            "clients": self.fault.stock,
            "post_seconds": STOCK_POST_SECONDS / self.fault.rate,
            "transports": None if self.fault.has_one_worker else ["websocket"],
        }
        here = self.tree / "tests" / "torture"
        python = [sys.executable, "-m", "tests.torture.stock_clients"]
        self.servers[0].room(self.label)  # stock clients do not load the page, which makes the room
        return [
            Clients("people", [node, str(here / "people.mjs")], plan | people, self),
            Clients("stock clients", [node, str(here / "stock_clients.mjs")], plan | stock, self),
            Clients("stock Python clients", python, plan | stock, self),
        ]

    def _say_and_wait(self, order: str) -> None:
        self.say(order)
        for clients in self._clients:
            clients.wait_for("done")

    def judge(self) -> Verdict:
        """What came of it."""
        with self.server.database() as engine:
            rooms = {
                label: stored(engine, label) for label in (self.label, f"{self.label}-next-door")
            }
        lines = self.history.lines()
        self.taken_back = taken_back(lines, rooms)
        verdict = self.outcome.verdict = check(lines, rooms, self.fault.exact_clock)
        return verdict

    def look_into_the_files(self) -> None:
        """I9, when the servers have ended: the database's files hold nothing of what was taken back."""
        for file in self.folder.glob("instance/*.db*"):
            held = file.read_bytes()
            for left in (text for text in self.taken_back if text.encode() in held):
                self.outcome.verdict.found(
                    "I9 taken back, and still in the files", (file.name, left)
                )


def play(scenario: Scenario) -> None:
    """The whole evening, from the first person to the last; the outcome is the evening's."""
    before = _weights(scenario)
    nemesis = scenario.fault.nemesis(scenario)
    with scenario.crowd():
        next(nemesis)
    verdict = scenario.judge()
    try:
        nemesis.send(verdict)
    except StopIteration:
        _everything_is_let_go(scenario, before)
    for server in scenario.servers:
        scenario.at_most("bytes of log", len(server.log()), LOG_BYTES)
        if "Traceback" in server.log():
            scenario.outcome.complaints.append(f"a traceback in the log:\n{server.log()[-3000:]}")


def _weights(scenario: Scenario) -> int:
    for server in scenario.servers:
        server.page("/")
    return max(resident_bytes(pid) for pid in scenario.workers())


def _everything_is_let_go(scenario: Scenario, before: int) -> None:
    """I8: nobody is connected any more, and memory is what it was, nearly."""
    try:
        wait_until(
            lambda: not any(connections(server.port) for server in scenario.servers),
            scenario.fault.let_go_seconds,
        )
    except AssertionError:
        left = sum(connections(server.port) for server in scenario.servers)
        scenario.at_most("I8 connections that are left", left, 0)
    growth = max(resident_bytes(pid) for pid in scenario.workers()) - before
    scenario.at_most("I8 bytes of memory that are left", growth, GROWTH_BYTES)


def connections(port: int) -> int:
    """How many connections a server's side holds."""
    return len(_inodes(port))


def connections_of(pid: int, port: int) -> int:
    """How many of them one process holds."""
    held = {str(each.readlink()) for each in Path(f"/proc/{pid}/fd").iterdir() if each.is_symlink()}
    return sum(f"socket:[{inode}]" in held for inode in _inodes(port))


def _inodes(port: int) -> list[str]:
    """Of connections that are open on our side: established, or left open when the other side hung up."""
    found = []
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if (
            int(fields[1].partition(":")[2], 16) == port
            and fields[3] in ("01", "08")
            and fields[9] != "0"
        ):
            found.append(fields[9])
    return found


@contextmanager
def staged(
    folder: Path, outcome: Outcome, full: bool, postgres_server: Postgres | None, tree: Path = ROOT
) -> Iterator[Scenario]:
    """The servers and lines an evening needs, from their start to their end."""
    scenario = Scenario(folder, outcome, full, tree)
    with scenario.stack as stack:
        scenario.queue = stack.enter_context(redis(folder / "redis"))
        environment = {"REDIS_URL": _queue_url(scenario), "INSTANCE": str(folder / "instance")}
        if outcome.database == "PostgreSQL":
            assert postgres_server is not None
            scenario.postgres_server = postgres_server
            environment["DATABASE_URL"] = postgres_server.database()
        if "small disk" in outcome.fault.needs:
            environment["INSTANCE"] = str(
                stack.enter_context(small_disk(folder / "small")) / "instance"
            )
        if outcome.fault.needs & {
            "two hosts",
            "another clock",
        }:  # on two workers of one host all may be on one of them
            elsewhere = (
                another_clock(folder / "clock") if "another clock" in outcome.fault.needs else {}
            )
            _start(scenario, folder / "one", 1, environment)
            _start(scenario, folder / "two", 1, environment | elsewhere)
        else:
            _start(scenario, folder / "one", 1 if outcome.fault.has_one_worker else 2, environment)
        if outcome.fault.needs & LINES:
            scenario.forgetful = Forgetful(scenario.rng)
            scenario.line = stack.enter_context(Proxy(scenario.server.port, scenario.forgetful))
            scenario.line.refuses_upgrades = "polling line" in outcome.fault.needs
        yield scenario


def _queue_url(scenario: Scenario) -> str:
    if "bad queue" not in scenario.fault.needs:
        return scenario.queue.url
    scenario.muddled = Muddled(scenario.rng)
    scenario.muddled.at_work = False
    scenario.queue_line = scenario.stack.enter_context(Proxy(scenario.queue.port, scenario.muddled))
    return f"redis://127.0.0.1:{scenario.queue_line.port}/0"


def _start(scenario: Scenario, folder: Path, workers: int, environment: dict[str, str]) -> None:
    app = "tests.short_pings:app" if "short pings" in scenario.fault.needs else "app:app"
    words = [sys.executable, "-m", "gunicorn", "-k", "eventlet", "-w", str(workers), app, "-b"]
    server = ConfabServer(folder, lambda port: [*words, f"127.0.0.1:{port}"], **environment)
    server.where = scenario.tree
    scenario.stack.callback(server.stop)
    server.start()
    scenario.servers.append(server)


def another_clock(file: Path) -> dict[str, str]:
    """The settings of a program whose time of day is as far from ours as the file says; see clock/sitecustomize.py."""
    file.write_text("0")
    return {"PYTHONPATH": str(Path(__file__).with_name("clock")), "CLOCK": str(file)}


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A file system of sixteen megabytes."""
    assert os.geteuid() == 0, (
        "this mounts a small file system, which needs root: run it with sudo or in CI"
    )
    folder.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)

"""One run: a peer's servers are started, people talk, and the operating system says what it cost."""

import json
import os
import resource
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.peers import AGAIN, CONFAB, Peer
from bench.scenarios import Scenario
from tests.servers import ROOT, Program, cpu_seconds, resident_bytes
from tests.services import Redis

SOURCE = ROOT / "bench" / "load.c"
BUILT = ROOT / ".make" / "bench" / "load"
CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE, LOAD_CORE = str(CORES[0]), str(CORES[-1])
ALL_CORES = ",".join(map(str, CORES))


@dataclass
class Run:
    """What one run showed. A cost is in microseconds of CPU for a delivery, or a message if the scenario says so."""

    peer: str
    scenario: str
    cost: float
    redis_cost: float
    connect_ms: float  # CPU for one person to connect and join
    idle_kib: float  # memory of one person who says nothing
    messages_per_second: float
    deliveries_per_second: float
    p50: float  # milliseconds from sending to each delivery
    p99: float
    load_cpu: float  # how much of its core the load generator used
    said: int  # messages in all, also those that are not measured
    lost: int
    doubled: int
    disordered: int
    wrong: list[str]  # everything else that is not as it should be
    repeat: int = 0  # in which round it was made; a pair is two runs of one scenario and one round


@dataclass
class Used:
    """What the servers and Redis have used so far: seconds of CPU, and bytes."""

    cpu: float
    redis: float
    memory: int


def build() -> None:
    """Compile the load generator, where it has changed. It needs a C compiler and zlib's header."""
    BUILT.parent.mkdir(parents=True, exist_ok=True)
    if BUILT.exists() and BUILT.stat().st_mtime > SOURCE.stat().st_mtime:
        return
    strict = ["-O2", "-std=gnu17", "-Wall", "-Wextra", "-Werror"]
    subprocess.run(["cc", *strict, "-o", BUILT, SOURCE, "-lz"], check=True, timeout=120)


def stay_out_of_the_way() -> None:
    """Keep this process off the servers' core; let everybody it starts have many sockets."""
    os.sched_setaffinity(0, {CORES[-1]})
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def measure(peer: Peer, scenario: Scenario, folder: Path, kept: Path) -> Run:
    """Let the people of a scenario talk on a peer's fresh servers; `kept` is a folder that all runs share."""
    data = folder / "data"
    data.mkdir(parents=True)
    peer.prepare(data, kept)
    with _servers(peer, scenario, folder, data) as (servers, redis):
        run = _talk(peer, scenario, servers, redis)
    run["wrong"] += [
        f"a traceback in {folder.name}" for each in servers if "Traceback" in each.log()
    ]
    with closing(sqlite3.connect(data / peer.database)) as database:
        [rows] = database.execute("SELECT count(*) FROM messages").fetchone()
    if rows != run["said"]:
        run["wrong"].append(f"{run['said']} sent, {rows} stored")
    return Run(peer.name, scenario.name, **run)


@contextmanager
def _servers(
    peer: Peer, scenario: Scenario, folder: Path, data: Path
) -> Iterator[tuple[list[Program], list[Program]]]:
    """The workers, and Redis where there are several; killed at the end, for what they have stored is stored."""
    redis: list[Program] = []
    servers: list[Program] = []
    environment = {}
    several = scenario.servers > 1
    try:
        if several:
            queue = Redis(folder / "redis")
            queue.words = [
                "setpriv",
                "--pdeathsig",
                "KILL",
                "taskset",
                "-c",
                ALL_CORES,
                *queue.words,
            ]
            redis.append(queue)
            queue.start()
            environment["REDIS_URL"] = queue.url
        for number in range(scenario.servers):
            cores = ALL_CORES if several else SERVER_CORE
            server = peer.server(folder / f"server-{number}", data, cores, **environment)
            servers.append(server)
            server.start()
        yield servers, redis
    finally:
        for each in servers + redis:
            each.kill()


def _talk(
    peer: Peer, scenario: Scenario, servers: list[Any], redis: list[Program]
) -> dict[str, Any]:
    ids = [pid for each in servers for pid in each.processes()]
    redis_ids = [pid for each in redis for pid in each.processes()]

    def used() -> Used:
        return Used(
            sum(map(cpu_seconds, ids)),
            sum(map(cpu_seconds, redis_ids)),
            sum(map(resident_bytes, ids)),
        )

    ports = [f"--port={each.port}" for each in servers]
    words = [
        "setpriv",
        "--pdeathsig",
        "KILL",
        "taskset",
        "-c",
        LOAD_CORE,
        str(BUILT),
        *ports,
        *scenario.words(),
    ]
    moments = {"start": used()}
    report: dict[str, Any] = {}
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as load:
        assert load.stdout is not None
        for line in load.stdout:
            if line.startswith("{"):
                report = json.loads(line)
            else:
                moments[line.split()[0]] = used()
    if not report:
        raise RuntimeError(f"{peer.title} could not do {scenario.name}")
    return _summed_up(scenario, moments, report)


def _summed_up(
    scenario: Scenario, moments: dict[str, Used], report: dict[str, Any]
) -> dict[str, Any]:
    start, joined, idle, begin, end = (
        moments[name] for name in ("start", "joined", "idle", "begin", "end")
    )
    units = report["completed" if scenario.per_message else "deliveries"]
    if not units:
        raise RuntimeError("nobody heard anything while it was measured")
    wrong = [
        f"{report[name]} {name}"
        for name in ("strayed", "unanswered", "refused", "gone")
        if report[name]
    ]
    return {
        "cost": (end.cpu - begin.cpu) / units * 1e6,
        "redis_cost": (end.redis - begin.redis) / units * 1e6,
        "connect_ms": (joined.cpu - start.cpu) / scenario.people * 1e3,
        "idle_kib": (idle.memory - start.memory) / scenario.people / 1024,
        "messages_per_second": report["completed"] / report["seconds"],
        "deliveries_per_second": report["deliveries"] / report["seconds"],
        "wrong": wrong,
        **{
            name: report[name]
            for name in ("p50", "p99", "load_cpu", "lost", "doubled", "disordered", "said")
        },
    }


def complaints(run: Run) -> list[str]:
    """What a run of Confab must not show."""
    if run.peer not in (CONFAB, AGAIN):
        return []
    counted = {"lost": run.lost, "doubled": run.doubled, "out of order": run.disordered}
    found = [f"{count} {name}" for name, count in counted.items() if count] + run.wrong
    return [f"{run.scenario}: {each}" for each in found]

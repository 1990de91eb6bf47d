"""One run: start the servers of a peer, generate load, and read from the kernel what they used."""

import json
import os
import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.databases import new_database
from bench.peers import OWN, Peer, Server, pinned_command
from bench.scenarios import Scenario
from tests.servers import ROOT, Program, cpu_seconds, resident_bytes
from tests.services import Postgres, Redis

LOAD_SOURCE = ROOT / "bench" / "load.c"
LOAD_PROGRAM = ROOT / ".make" / "bench" / "load"
COMPILE_TIMEOUT_SECONDS = 120

CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE = str(CORES[0])
LOAD_CORE = str(CORES[-1])
ALL_CORES = ",".join(str(core) for core in CORES)


@dataclass
class Run:
    """The result of one run.

    Costs are microseconds of CPU for each delivery, or for each message if the scenario says so.
    """

    peer: str
    scenario: str
    cost: float
    redis_cost: float
    postgres_cost: float
    connect_ms: float
    """CPU for one client to connect and join."""

    idle_kib: float
    """Memory for one client that has only joined."""

    messages_per_second: float
    deliveries_per_second: float
    p50: float
    """Milliseconds from a message to each of its deliveries: from when it was sent, at a fixed rate
    from when it was due."""

    p99: float
    load_cpu: float
    """The part of its core that the load generator used, from 0 to 1."""

    sent: int
    """All messages, including those outside the measured time."""

    lost: int
    duplicated: int
    reordered: int
    problems: list[str]
    """Everything else that failed a check."""

    repeat: int = 0
    """The round of the run: a pair consists of two runs of one scenario in one round."""


@dataclass
class Usage:
    """What the servers, Redis and PostgreSQL have used so far: CPU in seconds, memory in bytes.

    The CPU of PostgreSQL is without that of connections that have been closed.
    """

    cpu_seconds: float
    redis_cpu_seconds: float
    postgres_cpu_seconds: float
    memory_bytes: int


def build() -> None:
    """Compile the load generator if it has changed. Needs a C compiler and the header of zlib."""
    LOAD_PROGRAM.parent.mkdir(parents=True, exist_ok=True)
    if LOAD_PROGRAM.exists() and LOAD_PROGRAM.stat().st_mtime > LOAD_SOURCE.stat().st_mtime:
        return
    options = ["-O2", "-std=gnu17", "-Wall", "-Wextra", "-Werror"]
    command = ["cc", *options, "-o", str(LOAD_PROGRAM), str(LOAD_SOURCE), "-lz"]
    subprocess.run(command, check=True, timeout=COMPILE_TIMEOUT_SECONDS)


def prepare_process() -> None:
    """Keep this process off the servers' core, and let child processes open many sockets."""
    os.sched_setaffinity(0, {CORES[-1]})
    _, hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard_limit, hard_limit))


def measure(
    peer: Peer, scenario: Scenario, folder: Path, shared: Path, postgres: Postgres | None = None
) -> Run:
    """Run a scenario on new servers of a peer. `shared` is a folder that all runs share.

    The messages are stored in SQLite, or in a new database of `postgres`. Raises RuntimeError when
    the load generator or the database fails, also when a message is refused.
    """
    data = folder / "data"
    data.mkdir(parents=True)
    with new_database(postgres, data / peer.database) as database:
        peer.prepare(data, shared, database.settings)
        with _servers(peer, scenario, folder, data, database.settings) as (servers, redis):
            result = _generate_load(peer, scenario, servers, redis, postgres)
        stored = database.count_messages()
    for server in servers:
        if "Traceback" in server.log():
            result["problems"].append(f"a traceback in {folder.name}")
    if stored != result["sent"]:
        result["problems"].append(f"{result['sent']} sent, {stored} stored")
    return Run(peer.name, scenario.name, **result)


@contextmanager
def _servers(
    peer: Peer, scenario: Scenario, folder: Path, data: Path, settings: dict[str, str]
) -> Iterator[tuple[list[Server], list[Program]]]:
    """Start the workers, and Redis if it is needed; kill all of them at the end."""
    redis: list[Program] = []
    servers: list[Server] = []
    environment = dict(settings)
    several = scenario.servers > 1
    cores = ALL_CORES if several else SERVER_CORE
    try:
        if several or peer.needs_redis:
            queue = Redis(folder / "redis")
            queue.words = pinned_command(cores, queue.words)
            redis.append(queue)
            queue.start()
            environment["REDIS_URL"] = queue.url
        for number in range(scenario.servers):
            server = peer.server(folder / f"server-{number}", data, cores, **environment)
            servers.append(server)
            server.start()
        yield servers, redis
    finally:
        for program in [*servers, *redis]:
            program.kill()


def _generate_load(
    peer: Peer,
    scenario: Scenario,
    servers: list[Server],
    redis: list[Program],
    postgres: Postgres | None,
) -> dict[str, Any]:
    """Run the load generator; return the fields of a Run. Raises RuntimeError when it fails.

    The load generator prints the name of each phase when it begins, and one line of JSON at the
    end. The usage of the servers is read at each of these moments.
    """
    server_ids = [pid for server in servers for pid in server.processes()]
    redis_ids = [pid for program in redis for pid in program.processes()]

    def usage() -> Usage:
        return Usage(
            sum(cpu_seconds(pid) for pid in server_ids),
            sum(cpu_seconds(pid) for pid in redis_ids),
            _cpu_seconds_of_postgres(postgres),
            sum(resident_bytes(pid) for pid in server_ids),
        )

    ports = [f"--port={server.port}" for server in servers]
    command = pinned_command(LOAD_CORE, [str(LOAD_PROGRAM), *ports, *scenario.load_options()])
    usage_at = {"start": usage()}
    report: dict[str, Any] = {}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as load:
        assert load.stdout is not None
        for line in load.stdout:
            if line.startswith("{"):
                report = json.loads(line)
            else:
                phase = line.split()[0]
                usage_at[phase] = usage()
    if not report:
        raise RuntimeError(f"{peer.title} could not complete {scenario.name}")
    return _summarize(scenario, usage_at, report)


def _cpu_seconds_of_postgres(postgres: Postgres | None) -> float:
    if postgres is None:
        return 0.0
    total = 0.0
    for pid in postgres.all_processes():
        with suppress(FileNotFoundError):  # a connection has been closed meanwhile
            total += cpu_seconds(pid)
    return total


def _summarize(
    scenario: Scenario, usage_at: dict[str, Usage], report: dict[str, Any]
) -> dict[str, Any]:
    """Return the fields of a Run, from the usage at each phase and the load generator's report."""
    units = report["completed"] if scenario.per_message else report["deliveries"]
    if not units:
        raise RuntimeError("nothing was delivered in the measured time")
    begin = usage_at["begin"]
    end = usage_at["end"]
    cpu = end.cpu_seconds - begin.cpu_seconds
    redis_cpu = end.redis_cpu_seconds - begin.redis_cpu_seconds
    postgres_cpu = end.postgres_cpu_seconds - begin.postgres_cpu_seconds
    connect_cpu = usage_at["joined"].cpu_seconds - usage_at["start"].cpu_seconds
    idle_memory = usage_at["idle"].memory_bytes - usage_at["start"].memory_bytes
    counters = ("strayed", "unanswered", "gone")
    return {
        "cost": cpu / units * 1e6,
        "redis_cost": redis_cpu / units * 1e6,
        "postgres_cost": postgres_cpu / units * 1e6,
        "connect_ms": connect_cpu / scenario.people * 1e3,
        "idle_kib": idle_memory / scenario.people / 1024,
        "messages_per_second": report["completed"] / report["seconds"],
        "deliveries_per_second": report["deliveries"] / report["seconds"],
        "p50": report["p50"],
        "p99": report["p99"],
        "load_cpu": report["load_cpu"],
        "sent": report["said"],
        "lost": report["lost"],
        "duplicated": report["doubled"],
        "reordered": report["disordered"],
        "problems": [f"{report[name]} {name}" for name in counters if report[name]],
    }


def failed_checks(run: Run) -> list[str]:
    """Return the checks that a run of this tree of Confab failed; other peers are not checked."""
    if run.peer not in OWN:
        return []
    counts = {"lost": run.lost, "duplicated": run.duplicated, "out of order": run.reordered}
    failed = [f"{count} {name}" for name, count in counts.items() if count]
    return [f"{run.scenario}: {problem}" for problem in failed + run.problems]

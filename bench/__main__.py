"""`make bench`: runs all scenarios on all servers in turn, and writes tables and a chart.

README.md in this folder describes the settings.
"""

import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import FrameType
from typing import TypeVar

from bench import measure, pairs, report
from bench.checkout import CheckoutError, describe, full_hash, python_for, worktree
from bench.databases import DATABASES, POSTGRESQL, SQLITE
from bench.environments import InstallError
from bench.measure import Run
from bench.peers import (
    AGAIN,
    ALL_PEERS,
    BEFORE,
    CONFAB,
    CONTROL,
    PEERS,
    PEERS_WITH_POSTGRES,
    Installation,
    Peer,
)
from bench.plot import plot
from bench.report import Results
from bench.scenarios import QUICK, SCENARIOS, Scenario
from tests.servers import ROOT
from tests.services import Postgres, postgres

RESULTS = {
    SQLITE: measure.LOAD_PROGRAM.parent,
    POSTGRESQL: measure.LOAD_PROGRAM.parent / POSTGRESQL,
}
"""The folder of the results, by database."""

PAGE = ROOT / "docs" / "performance.md"
CHART = ROOT / "docs" / "performance.svg"
MARKS = {
    SQLITE: (
        "<!-- from here: written by make bench -->",
        "<!-- to here: written by make bench -->",
    ),
    POSTGRESQL: (
        "<!-- from here: written by make bench DATABASE=postgresql -->",
        "<!-- to here: written by make bench DATABASE=postgresql -->",
    ),
}
"""The lines of PAGE between which the tables are, by database."""


DEFAULT_REPEATS = 5
DEFAULT_PAIRS = 15
MAX_MINUTES = 40
MAX_RETRIES = 5
OVERHEAD_SECONDS = 4
"""Of a run: to start the servers, to connect the clients, to be idle and to stop."""

SIGTERM_STATUS = 143

T = TypeVar("T")


def log(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)


def selected(variable: str, available: dict[str, T]) -> list[T]:
    """Return what an environment variable names, by default everything. Exits for unknown names."""
    names = [name for name in os.environ.get(variable, "").split(",") if name]
    unknown = sorted(set(names) - set(available))
    if unknown:
        sys.exit(f"{variable}={','.join(unknown)} is unknown: choose from {','.join(available)}.")
    return [available[name] for name in names or available]


@dataclass(frozen=True)
class Plan:
    """What is measured: each peer runs each of its scenarios `repeats` times.

    `is_complete` says whether the results are worth publishing. `listed` are the peers in the
    tables. `database` is one of DATABASES.
    """

    peers: list[Peer]
    scenarios: list[Scenario]
    repeats: int
    is_complete: bool = False
    listed: tuple[Peer, ...] = tuple(PEERS.values())
    database: str = SQLITE

    def minutes(self) -> float:
        """Return the expected time."""
        seconds = sum(
            OVERHEAD_SECONDS + turn.scenario.warm_up_seconds + turn.scenario.measured_seconds
            for turn in self.turns()
        )
        return seconds / 60

    def turns(self) -> list["Turn"]:
        """Return all runs, in their order."""
        return turns(self.peers, self.scenarios, self.repeats)


@dataclass(frozen=True)
class Turn:
    """One run to be made."""

    scenario: Scenario
    peer: Peer
    repeat: int


def plan_from_environment(stack: ExitStack) -> Plan:
    """Return the plan that the environment variables describe; cleanups are added to the stack."""
    is_quick = bool(os.environ.get("QUICK"))
    database = database_from_environment()
    all_peers = ALL_PEERS if database == SQLITE else PEERS_WITH_POSTGRES
    listed = PEERS if database == SQLITE else PEERS_WITH_POSTGRES
    scenarios = [QUICK] if is_quick else selected("ONLY", SCENARIOS)
    commit = os.environ.get("BEFORE")
    if commit:
        plan = _plan_of_pairs(commit, scenarios, is_quick, all_peers, stack)
        return replace(plan, database=database)
    if os.environ.get("PAIRS"):
        sys.exit("PAIRS= needs BEFORE=: name a commit, or use REPS= instead.")
    is_small = is_quick and not os.environ.get("PEERS")
    peers = [PEERS[CONFAB]] if is_small else selected("PEERS", all_peers)
    repeats = 1 if is_quick else number_of_repeats("REPS", DEFAULT_REPEATS)
    has_everything = len(peers) == len(all_peers) and len(scenarios) == len(SCENARIOS)
    is_complete = has_everything and repeats >= DEFAULT_REPEATS
    plan = Plan(peers, scenarios, repeats, is_complete, tuple(listed.values()), database)
    if not plan.turns():
        allowed = [name for name in SCENARIOS if any(peer.runs(name) for peer in peers)]
        sys.exit(f"The servers in PEERS= run only {','.join(allowed)}: choose from these in ONLY=.")
    return plan


def database_from_environment() -> str:
    """Return the database that DATABASE= names, by default SQLite. Exits for unknown ones."""
    database = os.environ.get("DATABASE") or SQLITE
    if database not in DATABASES:
        sys.exit(f"DATABASE={database} is unknown: choose from {','.join(DATABASES)}.")
    return database


def _plan_of_pairs(
    commit: str,
    scenarios: list[Scenario],
    is_quick: bool,
    available: dict[str, Peer],
    stack: ExitStack,
) -> Plan:
    """Return the plan for this tree, another commit, this tree again, and the peers in PEERS=."""
    if os.environ.get("REPS"):
        sys.exit("With BEFORE=, use PAIRS= instead of REPS=.")
    number_of_pairs = number_of_repeats("PAIRS", 1 if is_quick else DEFAULT_PAIRS)
    named = selected("PEERS", available) if os.environ.get("PEERS") else []
    others = [peer for peer in named if peer not in (PEERS[CONFAB], CONTROL)]
    commit_hash = full_hash(commit, ROOT)
    tree = stack.enter_context(worktree(commit_hash, ROOT))
    installation = Installation(tree, python_for(tree, ROOT))
    before = installation.peer(BEFORE, f"Confab at {commit_hash[:7]}")
    peers = [PEERS[CONFAB], before, CONTROL, *others]
    return Plan(peers, scenarios, number_of_pairs, listed=tuple(peers))


def number_of_repeats(variable: str, default: int) -> int:
    """Return the number in an environment variable. Exits when it is not one."""
    value = os.environ.get(variable) or str(default)
    if not re.fullmatch(r"[1-9][0-9]{0,3}", value):
        sys.exit(f"{variable}={value} is not a number of repeats: give a number from 1 to 9999.")
    return int(value)


def turns(peers: list[Peer], scenarios: list[Scenario], repeats: int) -> list[Turn]:
    """Return all runs in an order in which other load on the machine affects all peers equally."""
    return [
        Turn(scenario, peer, repeat)
        for repeat in range(repeats)
        for scenario in scenarios
        for peer in _order_of_peers(peers, scenario, repeat)
    ]


def _order_of_peers(peers: list[Peer], scenario: Scenario, repeat: int) -> list[Peer]:
    """Return the peers that run a scenario, in their order in one round.

    The order is rotated every second round and reversed in between, so that of any two peers each
    is first in half of the rounds.
    """
    running = [peer for peer in peers if peer.runs(scenario.name)]
    if not running:
        return []
    first = repeat // 2 % len(running)
    rotated = running[first:] + running[:first]
    return rotated if repeat % 2 == 0 else rotated[::-1]


def run_all(
    to_do: list[Turn], failed: list[str], max_minutes: float, postgres_server: Postgres | None
) -> Iterator[Run]:
    """Make all runs. A failed one is noted in `failed` and repeated once more at the end."""
    deadline = time.monotonic() + max_minutes * 60
    with tempfile.TemporaryDirectory(prefix="confab-bench-") as folder:
        for number, turn in enumerate(to_do, 1):
            if time.monotonic() > deadline:
                left = len(to_do) - number + 1
                failed.append(f"after {max_minutes:.0f} minutes, {left} runs were left")
                return
            own_folder = Path(folder) / f"{number}-{turn.peer.name}-{turn.scenario.name}"
            try:
                run = measure.measure(
                    turn.peer, turn.scenario, own_folder, Path(folder), postgres_server
                )
                shutil.rmtree(own_folder)
            except (AssertionError, RuntimeError, OSError) as error:
                failed.append(f"{turn.scenario.name} on {turn.peer.title} failed: {error}")
                log(failed[-1])
                if len(failed) <= MAX_RETRIES:
                    to_do.append(turn)
            else:
                log(f"{number:3}/{len(to_do)} {_summary(run)}")
                yield replace(run, repeat=turn.repeat)


def _summary(run: Run) -> str:
    return (
        f"{run.scenario:6} {run.peer:17} {run.cost:8.2f} µs {run.messages_per_second:7.0f} msg/s "
        f"p50 {run.p50:6.1f} ms p99 {run.p99:6.1f} ms connect {run.connect_ms:5.2f} ms "
        f"idle {run.idle_kib:5.1f} KiB load {run.load_cpu:4.0%} lost {run.lost} "
        f"duplicated {run.duplicated} reordered {run.reordered} {' '.join(run.problems)}"
    )


def machine() -> str:
    """Return a description of this machine."""
    models = re.findall(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    model = models[0] if models else platform.machine()
    node = subprocess.run(["node", "--version"], capture_output=True, text=True, check=False)
    return (
        f"{model}, {len(measure.CORES)} cores, Linux {platform.release()}, "
        f"Python {platform.python_version()}, Node {node.stdout.strip()}"
    )


def tables(results: Results, repeats: int) -> str:
    """Return all tables, as Markdown."""
    parts = [f"Medians of {repeats} runs, on: {machine()}."]
    if results.has_reference():
        parts += ["Relative to Node socket.io:", report.ratio_table(results)]
        parts += ["Confab is slower than Node in:", report.slower_list(results)]
    parts.append(report.checks_summary(results))
    parts += _tables_of_pairs(results)
    parts += [
        "CPU of the servers per delivery, in `B`, `BL` and `BQ` per message:",
        report.number_table(results),
        "One client that connects, joins and is idle:",
        report.connection_table(results),
    ]
    return "\n\n".join(parts)


def _tables_of_pairs(results: Results) -> list[str]:
    """Return the tables of pairs, if there are any."""
    measured = {run.peer for run in results.runs}
    quartiles = "the median of the ratios of all pairs of runs, with the lower and upper quartile"
    if {CONFAB, AGAIN, BEFORE} <= measured:
        [title] = [peer.title for peer in results.peers if peer.name == BEFORE]
        return [
            report.checks_summary(results, title, [BEFORE]),
            f"Now is {describe(ROOT)}, before is {title}. Each figure is {quartiles}:",
            pairs.table_against_before(results),
        ]
    if {CONFAB, AGAIN} <= measured:
        return [f"Confab against itself, {quartiles}:", pairs.table_against_itself(results)]
    return []


def write(results: Results, plan: Plan, publish: bool) -> None:
    """Write the results to .make/bench/ and, with `publish`, to docs/performance.md.

    Only the chart of SQLite is published.
    """
    text = tables(results, plan.repeats)
    chart = plot(results)
    folder = RESULTS[plan.database]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "runs.json").write_text(json.dumps([asdict(run) for run in results.runs], indent=1))
    (folder / "results.md").write_text(f"{text}\n")
    (folder / "performance.svg").write_text(chart)
    log(f"\n{text}\n")
    if not publish:
        return
    first, last = MARKS[plan.database]
    before, rest = PAGE.read_text().split(first)
    after = rest.split(last)[1]
    PAGE.write_text(f"{before}{first}\n\n{text}\n\n{last}{after}")
    log("docs/performance.md is written.")
    if plan.database == SQLITE:
        CHART.write_text(chart)
        log("docs/performance.svg is written.")


def run_plan(plan: Plan) -> int:
    """Run a plan and write its results; return 1 when a run or a check of Confab failed."""
    measure.build()
    for peer in plan.peers:
        peer.install()
    measure.prepare_process()
    to_do = plan.turns()
    number_of_runs = len(to_do)
    minutes = max(1, plan.minutes())
    log(f"{number_of_runs} runs, expected time: {minutes:.0f} min. ONLY= selects scenarios.")
    started = time.monotonic()
    failed: list[str] = []
    max_minutes = max(MAX_MINUTES, 2 * plan.minutes())
    with started_postgres(plan.database) as postgres_server:
        results = Results(run_all(to_do, failed, max_minutes, postgres_server), plan.listed)
    publish = plan.is_complete and len(results.runs) == number_of_runs
    write(results, plan, publish)
    log(f"This took {(time.monotonic() - started) / 60:.1f} minutes.")
    for run in results.runs:
        failed += [f"{ALL_PEERS[run.peer].title}, {check}" for check in measure.failed_checks(run)]
    for failure in failed:
        log(f"Failed: {failure}.")
    return 1 if failed else 0


@contextmanager
def started_postgres(database: str) -> Iterator[Postgres | None]:
    """Start a PostgreSQL server for all runs and stop it at the end; None for SQLite.

    It inherits the CPU affinity of this process, so it runs on the core of the load generator.
    """
    if database == SQLITE:
        yield None
        return
    with postgres() as server:
        yield server


def _exit(_number: int, _frame: FrameType | None) -> None:
    """Exit through all context managers, so that all servers are stopped."""
    sys.exit(SIGTERM_STATUS)


def main() -> int:
    """Run the benchmark; return the exit status."""
    signal.signal(signal.SIGTERM, _exit)
    try:
        with ExitStack() as stack:
            return run_plan(plan_from_environment(stack))
    except (CheckoutError, InstallError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    sys.exit(main())

"""Runs one scenario from start to end, and checks what it leaves behind."""

import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.servers import ROOT, resident_bytes, wait_until
from tests.services import Postgres
from tests.torture.connections import count_connections
from tests.torture.environment import prepared
from tests.torture.harness import Outcome, Scenario, ScenarioRun

MAX_MEMORY_GROWTH_BYTES = 30_000_000
MAX_LOG_BYTES = 1_000_000
TRACEBACK_CHARACTERS = 3_000


def inject_and_check(run: ScenarioRun) -> None:
    """Inject the faults while the clients send, then check everything."""
    memory_before = _memory_after_a_request(run)
    injection = run.scenario.inject(run)
    with run.clients():
        next(injection)
    verdict = run.check_history()
    try:
        injection.send(verdict)
    except StopIteration:
        _check_resources_are_released(run, memory_before)
    _check_logs(run)


def run_scenario(
    scenario: Scenario,
    database: str,
    seed: int,
    postgres: Postgres | None,
    full: bool = False,
    tree: Path = ROOT,
    work: Callable[[ScenarioRun], None] = inject_and_check,
) -> Outcome:
    """Run a scenario and return its outcome. An exception is one of the outcome's problems."""
    outcome = Outcome(scenario, database, seed)
    started_at = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix=f"confab-{scenario.number}-"))
    try:
        with prepared(folder, outcome, full, postgres, tree) as run:
            work(run)
        if database == "SQLite":
            run.check_database_files()
    except Exception as error:  # noqa: BLE001  # one scenario must not cost the whole table
        outcome.problems.append(f"{type(error).__name__}: {error}")
    outcome.seconds = time.monotonic() - started_at
    if outcome.failures and tree == ROOT:
        outcome.problems.append(f"its files are in {folder}")
    else:
        shutil.rmtree(folder)
    return outcome


def _memory_after_a_request(run: ScenarioRun) -> int:
    """Return the memory of the largest worker, in bytes, when each server has answered once."""
    for server in run.servers:
        server.page("/")
    return max(resident_bytes(pid) for pid in run.workers())


def _check_resources_are_released(run: ScenarioRun, memory_before: int) -> None:
    """I8: no connection is left, and memory has hardly grown."""

    def open_connections() -> int:
        return sum(count_connections(server.port) for server in run.servers)

    try:
        wait_until(lambda: open_connections() == 0, run.scenario.disconnect_seconds)
    except AssertionError:
        run.at_most("I8 connections left open", open_connections(), 0)
    growth = max(resident_bytes(pid) for pid in run.workers()) - memory_before
    run.at_most("I8 growth of memory, bytes", growth, MAX_MEMORY_GROWTH_BYTES)


def _check_logs(run: ScenarioRun) -> None:
    for server in run.servers:
        log = server.log()
        run.at_most("size of the log, bytes", len(log), MAX_LOG_BYTES)
        if "Traceback" in log:
            excerpt = log[-TRACEBACK_CHARACTERS:]
            run.outcome.problems.append(f"a traceback in the log:\n{excerpt}")

"""Tests of the checker: copies of the program with one defect each, which it must detect.

Each patch in mutations/ introduces one defect; see https://en.wikipedia.org/wiki/Mutation_testing.
"""

import os
import re
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from tests.servers import ROOT
from tests.torture.harness import MAX_DELAY_MS, FaultInjection, Need, Scenario, ScenarioRun
from tests.torture.history import now_ms, of_type
from tests.torture.scenarios import MAX_ENFORCEMENT_MS, disconnect_all, fill_disk

ROUND_MS = 2_000
"""A round of Engine.IO's service task, with SHORT_PINGS; the first connection begins the first."""

EARLY_MS = 700

PATCHES = Path(__file__).with_name("mutations")
COPIED = (
    "app.py",
    "config.py",
    "gunicorn.conf.py",
    "chat",
    "migrations",
    "static",
    "templates",
    "tests",
)


def inject_nothing(run: ScenarioRun) -> FaultInjection:
    """Let the clients send without any fault."""
    run.pause(6)
    run.record_healed()
    verdict = yield
    run.at_most("delay, ms", verdict.worst_delay_ms(), MAX_DELAY_MS)


def kill_redis_once(run: ScenarioRun) -> FaultInjection:
    """Kill Redis for longer than a message may be late."""
    run.pause(1)
    run.redis.kill()
    time.sleep(8)
    run.redis.start()
    run.record_healed()
    verdict = yield
    run.at_most("delay, ms", verdict.worst_delay_ms(), MAX_DELAY_MS)


def delay_all_upgrades(run: ScenarioRun) -> FaultInjection:
    """Make all clients poll for a whole round of Engine.IO's service task, then upgrade at once.

    python-socketio gives up an upgrade after 5 s. The upgrades are released early in a round: what
    is upgraded at its end is not visited any more.
    """
    first = min(record["at"] for record in of_type(run.history.records(), "connect"))
    time.sleep((EARLY_MS - (now_ms() - first)) % ROUND_MS / 1000)
    run.proxy.hold_upgrades()
    run.proxy.reset_all()
    time.sleep(2 * ROUND_MS / 1000)
    run.proxy.release_upgrades()
    run.record_healed()
    time.sleep(2.5)
    verdict = yield
    run.at_most("delay, ms", verdict.worst_delay_ms(), MAX_DELAY_MS)


def moderate_without_redis(run: ScenarioRun) -> FaultInjection:
    """Mute and ban people on both workers while Redis is down, and clear the history."""
    run.pause(1)
    run.redis.kill()
    for number in (2, 3):
        run.host.act("mute", target=run.mark_of(f"kitchen page {number}"))
    for number in (4, 5):
        run.host.act("ban", target=run.mark_of(f"kitchen page {number}"))
    run.pause(6)
    run.host.act("clear")
    run.pause(5)
    run.redis.start()
    run.record_healed()
    run.pause(2)
    verdict = yield
    run.at_most("enforced, ms", max(verdict.expulsions_ms, default=0), MAX_ENFORCEMENT_MS)


@dataclass(frozen=True)
class Mutation:
    """A defect, the scenario that reveals it, and how the checker must report it."""

    patch: str
    scenario: Scenario
    expected_failure: str
    """A regular expression for the beginning of a failure."""
    database: str = "SQLite"
    needs_engine: bool = False
    """Whether the defect is in code that ENGINE=off does not use."""

    def apply(self, folder: Path) -> Path:
        """Copy the program and apply the patch; raise CalledProcessError if it does not apply."""
        tree = folder / self.patch
        tree.mkdir()
        for name in COPIED:
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            copy(ROOT / name, tree / name)
        (tree / "node_modules").symlink_to((ROOT / "node_modules").resolve())
        # git must not take a repository around the folder for the one to patch.
        environment = os.environ | {"GIT_CEILING_DIRECTORIES": str(folder)}
        command = ["git", "apply", str(PATCHES / f"{self.patch}.patch")]
        subprocess.run(command, cwd=tree, env=environment, check=True)
        return tree

    def is_detected(self, failures: list[str]) -> bool:
        """Return whether the checker reported the defect for the right reason."""
        return any(re.match(self.expected_failure, failure) for failure in failures)


REDIS_KILLED = Scenario(
    "M4",
    "Redis is killed while one client sends",
    kill_redis_once,
    senders=1,
    rate=1,
    bots=0,
    needs=frozenset({Need.TWO_HOSTS}),
)
"""Passes without a mutation: it is part of the selection too."""

MODERATED = Scenario(
    "M8",
    "a host moderates while Redis is down",
    moderate_without_redis,
    page_clients=8,
    senders=8,
    rate=8,
    bots=1,
    needs=frozenset({Need.TWO_HOSTS, Need.HOST}),
)
"""Likewise."""

MUTATIONS = (
    Mutation(
        "broadcast_before_commit",
        Scenario(
            "M1", "the disk is full", fill_disk, needs=frozenset({Need.SMALL_DISK}), short=True
        ),
        "I2 .*(broadcast or acknowledged but not stored|one number for two changes)",
    ),
    Mutation(
        "numbers_read_before_locking",
        Scenario(
            "M2",
            "no fault",
            inject_nothing,
            page_clients=24,
            senders=24,
            rate=30,
            needs=frozenset({Need.TWO_HOSTS}),
        ),
        "I2 duplicated: one number for two changes",
    ),
    Mutation(
        "messages_read_before_entering",
        Scenario(
            "M3",
            "clients are disconnected",
            disconnect_all,
            page_clients=20,
            needs=frozenset({Need.PROXY_FOR_HALF}),
            short=True,
        ),
        # Page clients catch up late; stock clients that rely on live events never do.
        "(delay, ms|I3 lost: stored but not shown)",
    ),
    Mutation(
        "reconciler_off_without_redis",
        REDIS_KILLED,
        "delay, ms",
    ),
    Mutation(
        "old_rows_not_dropped",
        Scenario("M5", "no fault", inject_nothing),
        "I3 duplicated: shown again",
    ),
    Mutation(
        "concurrent_events_of_one_connection",
        Scenario("M6", "no fault", inject_nothing, page_clients=24, senders=24, rate=30, bots=10),
        "I4 out of order: the messages of one sender",
        "PostgreSQL",
    ),
    Mutation(
        "session_lost_after_upgrade",
        Scenario(
            "M7",
            "upgrades to WebSocket are slow",
            delay_all_upgrades,
            page_clients=4,
            rate=2,
            node_clients=4,
            python_clients=4,
            needs=frozenset({Need.ONE_WORKER, Need.PROXY_FOR_ALL, Need.SHORT_PINGS}),
        ),
        "I10 stopped receiving",
        needs_engine=True,
    ),
    Mutation(
        "journal_without_rules",
        MODERATED,
        "I11 stored after a sanction",
    ),
    Mutation(
        "no_enforcement_without_redis",
        MODERATED,
        "enforced, ms",
    ),
    Mutation(
        "history_cleared_in_the_same_epoch",
        MODERATED,
        "I3 shown but not stored",
    ),
)


def mutations_in_use() -> list[Mutation]:
    """Return the mutations of code that runs with the present value of ENGINE."""
    is_engine_off = os.environ.get("ENGINE") == "off"
    return [each for each in MUTATIONS if not (each.needs_engine and is_engine_off)]

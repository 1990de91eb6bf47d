"""The checker is checked: copies of the program, each broken in one way, must turn it red, and for the right reason."""

import os
import re
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from tests.servers import ROOT
from tests.torture.scenarios import (
    BAD_LINE,
    SLOW_UPGRADES,
    TWO_HOSTS,
    everybody_is_cut_off,
    the_disk_is_full,
)
from tests.torture.stage import LATE_MS, Fault, Nemesis, Scenario

PATCHES = Path(__file__).with_name("mutations")
PARTS = (
    "app.py",
    "config.py",
    "gunicorn.conf.py",
    "chat",
    "migrations",
    "static",
    "templates",
    "tests",
)


def nothing_happens(scenario: Scenario) -> Nemesis:
    """People talk."""
    scenario.pause(6)
    scenario.healed()
    verdict = yield
    scenario.at_most("late, ms", verdict.worst(), LATE_MS)


def redis_is_dead(scenario: Scenario) -> Nemesis:
    """And does not come back while they talk."""
    scenario.pause(1)
    scenario.queue.kill()
    time.sleep(8)
    scenario.queue.start()
    scenario.healed()
    verdict = yield
    scenario.at_most("late, ms", verdict.worst(), LATE_MS)


def upgrades_wait(scenario: Scenario) -> Nemesis:
    """All clients poll for longer than a round of Engine.IO's service task, 2 s here, and then upgrade in one round."""
    scenario.line.hold_upgrades()
    scenario.line.cut()
    time.sleep(
        4
    )  # so that all have polled for a whole round; python-socketio gives up an upgrade after 5 s
    scenario.line.release_upgrades()
    scenario.healed()
    time.sleep(2.5)
    verdict = yield
    scenario.at_most("late, ms", verdict.worst(), LATE_MS)


@dataclass(frozen=True)
class Mutation:
    """One thing broken in the program, the evening that shows it, and what the checker has to say."""

    patch: str
    fault: Fault
    reason: str
    database: str = "SQLite"

    def plant(self, folder: Path) -> Path:
        """A copy of the program with the patch; raises when the patch does not apply."""
        tree = folder / self.patch
        tree.mkdir()
        for part in PARTS:
            copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
            copy(ROOT / part, tree / part)
        (tree / "node_modules").symlink_to((ROOT / "node_modules").resolve())
        alone = os.environ | {
            "GIT_CEILING_DIRECTORIES": str(folder)
        }  # a repository around it is not meant
        subprocess.run(
            ["git", "apply", str(PATCHES / f"{self.patch}.patch")], cwd=tree, env=alone, check=True
        )
        return tree

    def is_found(self, broken: list[str]) -> bool:
        """Whether the checker saw it for what it is."""
        return any(re.match(self.reason, each) for each in broken)


MUTATIONS = (
    Mutation(
        "telling_before_the_commit",
        Fault(
            "M1", "the disk is full", the_disk_is_full, needs=frozenset({"small disk"}), brief=True
        ),
        "I2 .*(told or answered that is not stored|one number for two changes)",
    ),
    Mutation(
        "numbers_outside_the_lock",
        Fault("M2", "nothing happens", nothing_happens, rate=30, talkers=8, needs=TWO_HOSTS),
        "I2 doubled: one number for two changes",
    ),
    Mutation(
        "reading_before_entering",
        Fault("M3", "lines are cut", everybody_is_cut_off, people=16, needs=BAD_LINE, brief=True),
        "late, ms",
    ),
    Mutation(
        "beacon_off",
        Fault(
            "M4",
            "Redis is dead while one talks",
            redis_is_dead,
            talkers=1,
            rate=4,
            bots=0,
            needs=TWO_HOSTS,
        ),
        "late, ms",
    ),
    Mutation(
        "no_drop_of_repeats",
        Fault("M5", "nothing happens", nothing_happens),
        "I3 doubled: drawn again",
    ),
    Mutation(
        "one_connections_events_at_once",
        Fault("M6", "nothing happens", nothing_happens, rate=30, bots=3),
        "I4 out of order: one sender's messages",
        "PostgreSQL",
    ),
    Mutation(
        "session_forgotten_after_an_upgrade",
        Fault(
            "M7",
            "upgrades wait",
            upgrades_wait,
            people=4,
            rate=2,
            stock=4,
            needs=SLOW_UPGRADES | {"short pings"},
        ),
        "I10 stopped receiving",
    ),
)

"""The faults: what is done to a Confab while people talk, and the numbers that hold all the same."""

import os
import signal
import time
from pathlib import Path

from tests.servers import until
from tests.torture.stage import CALM_MS, LATE_MS, Evening, Fault, Nemesis

BOTH = ("SQLite", "PostgreSQL")


def a_worker_is_killed(evening: Evening) -> Nemesis:
    """F1."""
    for _ in range(5 if evening.full else 3):
        evening.pause(3)
        before = set(evening.workers())
        os.kill(evening.dice.choice(sorted(before)), signal.SIGKILL)
        killed = time.monotonic()
        until(lambda known=before: set(evening.workers()) - known, 10, "a new worker")
        evening.at_most("until the new worker, ms", (time.monotonic() - killed) * 1000, 5_000)
    evening.pause(3)
    evening.healed()
    verdict = yield
    evening.at_most("19 of 20 back, ms", verdict.longest_away(0.95), 2_000)
    evening.at_most("all back, ms", verdict.longest_away(), 5_000)
    evening.at_most("late, ms", verdict.worst(), LATE_MS)


def the_master_is_killed(evening: Evening) -> Nemesis:
    """F2."""
    evening.pause(3)
    orphans = evening.workers()
    master = evening.server.processes()[0]
    os.kill(master, signal.SIGKILL)
    killed = time.monotonic()
    until(lambda: not any(map(_lives, orphans)), 10, "no worker outlives its master")
    evening.at_most("until no worker is left, ms", (time.monotonic() - killed) * 1000, 5_000)
    evening.server.kill()  # nothing is left of it; this only takes note
    evening.server.start()
    evening.healed()
    evening.pause(3)
    verdict = yield
    evening.at_most("late, ms", verdict.worst(), LATE_MS)


def _lives(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False


def the_workers_are_replaced(evening: Evening) -> Nemesis:
    """F3."""
    for how in (signal.SIGHUP, signal.SIGTERM, signal.SIGHUP):
        evening.pause(3)
        before = set(evening.workers())
        master = evening.server.processes()[0]
        leaving = before if how is signal.SIGHUP else {evening.dice.choice(sorted(before))}
        os.kill(master if how is signal.SIGHUP else min(leaving), how)
        asked = time.monotonic()
        until(lambda gone=leaving: not any(map(_lives, gone)), 15, "the old workers have ended")
        evening.at_most("until drained, ms", (time.monotonic() - asked) * 1000, 4_000)
        until(lambda: len(evening.workers()) == 2, 5, "two workers again")
    evening.healed()
    evening.pause(2)
    verdict = yield
    evening.at_most("all back, ms", verdict.longest_away(), 5_000)
    evening.at_most("late, ms", verdict.worst(), LATE_MS)


def redis_dies(evening: Evening) -> Nemesis:
    """F4."""
    for seconds in (2, 20, 90) if evening.full else (2, 12):
        evening.pause(2)
        evening.queue.kill()
        time.sleep(seconds)
        evening.queue.start()
        back = evening.healed()
        evening.pause(4)
        evening.history.mark("calm", since=back + 1_000)
    yield from _redis_was_away(evening)


def redis_stands_still(evening: Evening) -> Nemesis:
    """F5."""
    for seconds in (3, 12, 60) if evening.full else (3, 12):
        evening.pause(2)
        evening.queue.pause()
        time.sleep(seconds)
        evening.queue.go_on()
        back = evening.healed()
        evening.pause(4)
        evening.history.mark("calm", since=back + 1_000)
    yield from _redis_was_away(evening)


def _redis_was_away(evening: Evening) -> Nemesis:
    verdict = yield
    evening.at_most("99 of 100 answers, ms", verdict.answered_within(0.99), 300)
    evening.at_most("late, ms", verdict.worst(), LATE_MS)
    calm = [line for line in evening.history.lines() if line["what"] == "calm"]
    late = max((verdict.worst(line["since"], line["at"]) for line in calm), default=0)
    evening.at_most("late a second after Redis is back, ms", late, CALM_MS)
    evening.at_most("without a connection, ms", verdict.longest_away(), 0)


def answers_are_lost(evening: Evening) -> Nemesis:
    """F19."""
    for _ in range(200 if evening.full else 60):
        evening.forgetful.left = 1
        until(lambda: evening.forgetful.left == 0, 20, "somebody is about to be told")
    evening.healed()
    evening.pause(2)
    verdict = yield
    evening.at_most("all back, ms", verdict.longest_away(), 5_000)
    evening.at_most("late, ms", verdict.worst(), LATE_MS)


FAULTS = (
    Fault("F1", "a worker is killed", a_worker_is_killed, BOTH, people=40, talkers=10),
    Fault("F2", "the master is killed, and all is started again", the_master_is_killed),
    Fault("F3", "all workers are replaced, or one is asked to end", the_workers_are_replaced, people=20),
    Fault("F4", "Redis is killed", redis_dies, BOTH),
    Fault("F5", "Redis stands still", redis_stands_still),
    Fault("F19", "answers are lost", answers_are_lost, BOTH, people=12, talkers=12, needs=frozenset({"bad line"})),
)

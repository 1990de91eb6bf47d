"""F25, the soak: random faults for as many minutes as SOAK= says, room after room, and what memory does meanwhile."""

import os
import signal
import sqlite3
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

from tests.servers import resident_bytes
from tests.torture.history import History
from tests.torture.stage import LATE_MS, Fault, Nemesis, Scenario

ROOM_SECONDS = 120.0
BETWEEN_SECONDS = 20.0
WARM_SECONDS = 60.0  # of a worker's life, of which memory is not counted
SAMPLE_SECONDS = 5.0
GROWTH = 1_000_000  # bytes per worker and minute


def kill_a_worker(scenario: Scenario) -> None:
    """And gunicorn starts another."""
    os.kill(scenario.rng.choice(scenario.workers()), signal.SIGKILL)


def stop_a_worker(scenario: Scenario) -> None:
    """For two seconds."""
    pid = scenario.rng.choice(scenario.workers())
    os.kill(pid, signal.SIGSTOP)
    time.sleep(2)
    os.kill(pid, signal.SIGCONT)


def replace_all_workers(scenario: Scenario) -> None:
    """As a new version would."""
    os.kill(scenario.server.processes()[0], signal.SIGHUP)


def kill_redis(scenario: Scenario) -> None:
    """For six seconds."""
    scenario.queue.kill()
    time.sleep(6)
    scenario.queue.start()


def stop_redis(scenario: Scenario) -> None:
    """For six seconds."""
    scenario.queue.pause()
    time.sleep(6)
    scenario.queue.go_on()


def lose_redis(scenario: Scenario) -> None:
    """For eight seconds it takes connections and never answers."""
    scenario.queue_line.fall_silent(new_too=True)
    time.sleep(8)
    scenario.queue_line.recover()


def muddle_redis(scenario: Scenario) -> None:
    """For eight seconds."""
    scenario.muddled.at_work = True
    time.sleep(8)
    scenario.muddled.at_work = False


def cut_lines(scenario: Scenario) -> None:
    """Of half of the people."""
    scenario.line.cut()


def lose_answers(scenario: Scenario) -> None:
    """Ten of them."""
    scenario.forgetful.left = 10
    time.sleep(8)
    scenario.forgetful.left = 0


def lock_sqlite(scenario: Scenario) -> None:
    """For three seconds."""
    with closing(
        sqlite3.connect(
            f"{scenario.server.environment['INSTANCE']}/confab.db", isolation_level=None
        )
    ) as other:
        other.execute("BEGIN IMMEDIATE")
        time.sleep(3)
        other.execute("ROLLBACK")


FAULTS: tuple[Callable[[Scenario], None], ...] = (
    *(kill_a_worker, stop_a_worker, replace_all_workers, kill_redis, stop_redis),
    *(lose_redis, muddle_redis, cut_lines, lose_answers, lock_sqlite),
)


def nothing(scenario: Scenario) -> Nemesis:
    """The soak is no evening like the others: `soak` below is its nemesis."""
    yield


SOAK = Fault(
    "F25",
    "random faults",
    nothing,
    people=30,
    talkers=8,
    needs=frozenset({"bad line", "bad queue"}),
    exact_clock=False,
)


def soak(scenario: Scenario, minutes: float) -> None:
    """Room after room, until the time is over. The outcome is the evening's."""
    total = scenario.outcome.verdict
    end = time.monotonic() + minutes * 60
    rooms = 0
    with _weighing(scenario) as grown:
        while time.monotonic() < end:
            rooms += 1
            scenario.label = f"kitchen-{rooms}"
            scenario.history = History(scenario.folder / f"history-{rooms}")
            with scenario.crowd(ROOM_SECONDS):
                room_end = min(end, time.monotonic() + ROOM_SECONDS)
                while time.monotonic() < room_end:
                    scenario.rng.choice(FAULTS)(scenario)
                    scenario.healed()
                    time.sleep(BETWEEN_SECONDS * scenario.rng.uniform(0.5, 1))
            total.add(scenario.judge())
            if not total.findings:
                scenario.history.path.unlink()
        scenario.outcome.verdict = total
        scenario.at_most("growth of memory per worker and minute, bytes", grown(), GROWTH)
    scenario.at_most("late, ms", total.worst(), LATE_MS)


@contextmanager
def _weighing(scenario: Scenario) -> Iterator[Callable[[], float]]:
    """Weigh every worker now and then; gives a function that says how they have grown, in bytes per minute."""
    weights: defaultdict[int, list[tuple[float, int]]] = defaultdict(list)
    over = threading.Event()

    def weigh() -> None:
        while not over.wait(SAMPLE_SECONDS):
            for pid in scenario.workers():
                try:
                    weights[pid].append((time.monotonic(), resident_bytes(pid)))
                except (FileNotFoundError, ProcessLookupError):
                    continue  # it has just ended

    def grown() -> float:
        warm = [
            [(at, weight) for at, weight in worker if at > worker[0][0] + WARM_SECONDS]
            for worker in weights.values()
        ]
        lives = [
            (worker[-1][0] - worker[0][0], worker[-1][1] - worker[0][1])
            for worker in warm
            if len(worker) > 1
        ]
        seconds = sum(life for life, _ in lives)
        return 60 * sum(growth for _, growth in lives) / seconds if seconds else 0

    thread = threading.Thread(target=weigh)
    thread.start()
    try:
        yield grown
    finally:
        over.set()
        thread.join()

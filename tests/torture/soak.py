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
from tests.torture.stage import LATE_MS, Evening, Fault, Nemesis

ROOM_SECONDS = 120.0
BETWEEN_SECONDS = 20.0
WARM_SECONDS = 60.0  # of a worker's life, of which memory is not counted
SAMPLE_SECONDS = 5.0
GROWTH = 1_000_000  # bytes per worker and minute


def kill_a_worker(evening: Evening) -> None:
    """And gunicorn starts another."""
    os.kill(evening.dice.choice(evening.workers()), signal.SIGKILL)


def stop_a_worker(evening: Evening) -> None:
    """For two seconds."""
    pid = evening.dice.choice(evening.workers())
    os.kill(pid, signal.SIGSTOP)
    time.sleep(2)
    os.kill(pid, signal.SIGCONT)


def replace_all_workers(evening: Evening) -> None:
    """As a new version would."""
    os.kill(evening.server.processes()[0], signal.SIGHUP)


def kill_redis(evening: Evening) -> None:
    """For six seconds."""
    evening.queue.kill()
    time.sleep(6)
    evening.queue.start()


def stop_redis(evening: Evening) -> None:
    """For six seconds."""
    evening.queue.pause()
    time.sleep(6)
    evening.queue.go_on()


def lose_redis(evening: Evening) -> None:
    """For eight seconds it takes connections and never answers."""
    evening.queue_line.fall_silent(new_too=True)
    time.sleep(8)
    evening.queue_line.recover()


def muddle_redis(evening: Evening) -> None:
    """For eight seconds."""
    evening.muddled.at_work = True
    time.sleep(8)
    evening.muddled.at_work = False


def cut_lines(evening: Evening) -> None:
    """Of half of the people."""
    evening.line.cut()


def lose_answers(evening: Evening) -> None:
    """Ten of them."""
    evening.forgetful.left = 10
    time.sleep(8)
    evening.forgetful.left = 0


def lock_sqlite(evening: Evening) -> None:
    """For three seconds."""
    with closing(
        sqlite3.connect(f"{evening.server.environment['INSTANCE']}/confab.db", isolation_level=None)
    ) as other:
        other.execute("BEGIN IMMEDIATE")
        time.sleep(3)
        other.execute("ROLLBACK")


FAULTS: tuple[Callable[[Evening], None], ...] = (
    *(kill_a_worker, stop_a_worker, replace_all_workers, kill_redis, stop_redis),
    *(lose_redis, muddle_redis, cut_lines, lose_answers, lock_sqlite),
)


def nothing(evening: Evening) -> Nemesis:
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


def soak(evening: Evening, minutes: float) -> None:
    """Room after room, until the time is over. The outcome is the evening's."""
    total = evening.outcome.verdict
    end = time.monotonic() + minutes * 60
    rooms = 0
    with _weighing(evening) as grown:
        while time.monotonic() < end:
            rooms += 1
            evening.label = f"kitchen-{rooms}"
            evening.history = History(evening.folder / f"history-{rooms}")
            with evening.crowd(ROOM_SECONDS):
                room_end = min(end, time.monotonic() + ROOM_SECONDS)
                while time.monotonic() < room_end:
                    evening.dice.choice(FAULTS)(evening)
                    evening.healed()
                    time.sleep(BETWEEN_SECONDS * evening.dice.uniform(0.5, 1))
            total.add(evening.judge())
            if not total.findings:
                evening.history.path.unlink()
        evening.outcome.verdict = total
        evening.at_most("growth of memory per worker and minute, bytes", grown(), GROWTH)
    evening.at_most("late, ms", total.worst(), LATE_MS)


@contextmanager
def _weighing(evening: Evening) -> Iterator[Callable[[], float]]:
    """Weigh every worker now and then; gives a function that says how they have grown, in bytes per minute."""
    weights: defaultdict[int, list[tuple[float, int]]] = defaultdict(list)
    over = threading.Event()

    def weigh() -> None:
        while not over.wait(SAMPLE_SECONDS):
            for pid in evening.workers():
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

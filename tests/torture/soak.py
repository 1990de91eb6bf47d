"""F25, the soak test: random faults in one room after the other, and the growth of memory.

`SOAK=30` runs it for 30 minutes.
"""

import os
import signal
import sqlite3
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

from tests.servers import resident_bytes
from tests.torture.harness import MAX_DELAY_MS, FaultInjection, Need, Scenario, ScenarioRun
from tests.torture.history import History

ROOM_SECONDS = 120.0
PAUSE_SECONDS = (10.0, 20.0)
"""Between two faults: a random pause between these."""

SAMPLE_SECONDS = 5.0
WARM_UP_SECONDS = 60.0
"""Of a worker's life; the growth of memory is measured from then on."""

MAX_GROWTH_BYTES_PER_MINUTE = 1_000_000
"""Of each worker."""


def kill_worker(run: ScenarioRun) -> None:
    """Kill a worker; gunicorn starts another."""
    os.kill(run.rng.choice(run.workers()), signal.SIGKILL)


def pause_worker(run: ScenarioRun) -> None:
    """Stop a worker for two seconds."""
    pid = run.rng.choice(run.workers())
    os.kill(pid, signal.SIGSTOP)
    time.sleep(2)
    os.kill(pid, signal.SIGCONT)


def restart_workers(run: ScenarioRun) -> None:
    """Restart all workers, as an upgrade of the program would."""
    os.kill(run.server.processes()[0], signal.SIGHUP)


def kill_redis(run: ScenarioRun) -> None:
    """Kill Redis for six seconds."""
    run.redis.kill()
    time.sleep(6)
    run.redis.start()


def pause_redis(run: ScenarioRun) -> None:
    """Stop the process of Redis for six seconds."""
    run.redis.pause()
    time.sleep(6)
    run.redis.go_on()


def silence_redis(run: ScenarioRun) -> None:
    """For eight seconds, Redis accepts connections and never answers."""
    run.redis_proxy.silence(new_too=True)
    time.sleep(8)
    run.redis_proxy.recover()


def shuffle_redis_messages(run: ScenarioRun) -> None:
    """For eight seconds, Redis repeats and reorders messages."""
    run.shuffler.enabled = True
    time.sleep(8)
    run.shuffler.enabled = False


def reset_connections(run: ScenarioRun) -> None:
    """Reset the connections of half of the clients."""
    run.proxy.reset_all()


def lose_acknowledgements(run: ScenarioRun) -> None:
    """Lose ten acknowledgements, or as many as there are in eight seconds."""
    run.acknowledgement_loss.remaining = 10
    time.sleep(8)
    run.acknowledgement_loss.remaining = 0


def lock_sqlite(run: ScenarioRun) -> None:
    """Hold the write lock of SQLite for three seconds."""
    file = f"{run.server.environment['INSTANCE']}/confab.db"
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        time.sleep(3)
        connection.execute("ROLLBACK")


RANDOM_FAULTS: tuple[Callable[[ScenarioRun], None], ...] = (
    kill_worker,
    pause_worker,
    restart_workers,
    kill_redis,
    pause_redis,
    silence_redis,
    shuffle_redis_messages,
    reset_connections,
    lose_acknowledgements,
    lock_sqlite,
)


def _inject_nothing(run: ScenarioRun) -> FaultInjection:
    """Inject no fault: `soak` does so by itself, in more than one room."""
    yield


SOAK = Scenario(
    "F25",
    "random faults",
    _inject_nothing,
    page_clients=30,
    needs=frozenset({Need.PROXY_FOR_HALF, Need.REDIS_PROXY}),
    exact_clock=False,
)


def soak(run: ScenarioRun, minutes: float) -> None:
    """Inject random faults for so many minutes; the outcome has the verdict on all rooms."""
    total = run.outcome.verdict
    end = time.monotonic() + minutes * 60
    room_count = 0
    with _sampled_memory(run) as memory:
        while time.monotonic() < end:
            room_count += 1
            run.label = f"kitchen-{room_count}"
            run.history = History(run.folder / f"history-{room_count}")
            _inject_into_one_room(run, end)
            total.merge(run.check_history())
            if not total.findings:
                run.history.path.unlink()
        run.outcome.verdict = total
        run.at_most(
            "growth of memory per worker and minute, bytes",
            memory.growth_bytes_per_minute(),
            MAX_GROWTH_BYTES_PER_MINUTE,
        )
    run.at_most("delay, ms", total.worst_delay_ms(), MAX_DELAY_MS)


def _inject_into_one_room(run: ScenarioRun, end: float) -> None:
    with run.clients(ROOM_SECONDS):
        room_end = min(end, time.monotonic() + ROOM_SECONDS)
        while time.monotonic() < room_end:
            inject = run.rng.choice(RANDOM_FAULTS)
            inject(run)
            run.record_healed()
            time.sleep(run.rng.uniform(*PAUSE_SECONDS))


@dataclass(frozen=True)
class MemorySample:
    """The memory of a worker at a time in seconds."""

    at: float
    size_bytes: int


class MemorySampler:
    """Samples the memory of every worker."""

    def __init__(self) -> None:
        self._samples: defaultdict[int, list[MemorySample]] = defaultdict(list)

    def sample(self, pids: list[int]) -> None:
        """Take one sample of each worker."""
        for pid in pids:
            try:
                size_bytes = resident_bytes(pid)
            except (FileNotFoundError, ProcessLookupError):
                continue  # it has just ended
            self._samples[pid].append(MemorySample(time.monotonic(), size_bytes))

    def growth_bytes_per_minute(self) -> float:
        """Return the growth of all workers after their first minute, over their time of running."""
        growth_bytes = 0
        seconds = 0.0
        for samples in self._samples.values():
            warm_at = samples[0].at + WARM_UP_SECONDS
            warm = [sample for sample in samples if sample.at > warm_at]
            if len(warm) > 1:
                growth_bytes += warm[-1].size_bytes - warm[0].size_bytes
                seconds += warm[-1].at - warm[0].at
        if seconds == 0:
            return 0
        return 60 * growth_bytes / seconds


@contextmanager
def _sampled_memory(run: ScenarioRun) -> Iterator[MemorySampler]:
    """Sample the memory of the workers in the background."""
    sampler = MemorySampler()
    stopping = threading.Event()

    def sample_all() -> None:
        while not stopping.wait(SAMPLE_SECONDS):
            sampler.sample(run.workers())

    thread = threading.Thread(target=sample_all)
    thread.start()
    try:
        yield sampler
    finally:
        stopping.set()
        thread.join()

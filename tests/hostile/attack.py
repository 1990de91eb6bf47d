"""Runs an attack against a server beside its neighbours, and checks what was measured."""

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from itertools import count
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from tests.hostile.counts import Counts
from tests.hostile.neighbours import Neighbours, percentile
from tests.hostile.report import Row
from tests.hostile.target import Target
from tests.servers import ConfabServer, resident_bytes

IS_LONG = bool(os.environ.get("HOSTILE"))
"""Whether this is the long form, of `make torture HOSTILE=1`."""

SECONDS = 28.0 if IS_LONG else 1.0
"""How long an attack lasts that is not over by itself."""

PEOPLE = 50 if IS_LONG else 10
"""The neighbours. In the long form they post 40 messages a second, 1,000 in 25 seconds."""

MIN_SAMPLES = 1_000 if IS_LONG else 1
MAX_P99_MS = 200.0

MAX_MEDIAN_MS = 5_000.0
"""In the short form, which runs beside other tests: there the neighbours wait for a CPU as well. No
message of theirs is refused or lost in either form."""

MAX_ATTACK_SECONDS = 120.0
ATTACKER_NICENESS = 5

SERVER_CPU = 0
ATTACKER_CPU = 1
HAS_TWO_CPUS = len(os.sched_getaffinity(0)) > 1

numbers = count(1)


def attackers_process() -> ProcessPoolExecutor:
    """Return an executor with one process, in which attackers run."""
    return ProcessPoolExecutor(1, get_context("spawn"), _prepare_attackers)


def _prepare_attackers() -> None:
    """Give the neighbours precedence: their latency is measured, not that of the attackers."""
    os.nice(ATTACKER_NICENESS)
    if IS_LONG and HAS_TWO_CPUS:
        os.sched_setaffinity(0, {ATTACKER_CPU})


@contextmanager
def alone_on_its_cpu(server: ConfabServer) -> Iterator[None]:
    """In the long form, give a server one CPU, and the other to this process with the neighbours.

    The attackers share the latter.
    """
    if not IS_LONG or not HAS_TWO_CPUS:
        yield
        return
    for pid in server.processes():
        for thread in Path(f"/proc/{pid}/task").iterdir():
            os.sched_setaffinity(int(thread.name), {SERVER_CPU})
    cpus_before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {ATTACKER_CPU})
    yield
    os.sched_setaffinity(0, cpus_before)


class Attack:
    """One attack, which comes from a client address of its own, and its measurements."""

    def __init__(
        self,
        server: ConfabServer,
        neighbours: Neighbours,
        attackers: ProcessPoolExecutor,
        rows: list[Row],
    ) -> None:
        self.server = server
        self.worker = server.processes()[-1]
        self.growth_bytes = 0
        """Of the worker's memory, by the last attack."""

        self.seconds = 0.0
        """How long the last attack lasted, on a busy machine longer than it should."""

        self._neighbours = neighbours
        self._attackers = attackers
        self._rows = rows
        self._latencies: list[float] = []

    def run(self, attacker: Callable[..., Any], *arguments: Any) -> Any:
        """Attack, and return what the attacker returns.

        In the long form the attack is repeated, each time from another address, until enough
        messages of neighbours have been measured.
        """
        memory_before = resident_bytes(self.worker)
        began = time.monotonic()
        with self._neighbours.observed() as latencies:
            result = self.prepare(attacker, *arguments)
            self.seconds = time.monotonic() - began
        self.growth_bytes = resident_bytes(self.worker) - memory_before
        self._latencies += latencies
        while len(self._latencies) < MIN_SAMPLES:
            with self._neighbours.observed() as latencies:
                self.prepare(attacker, *arguments)
            self._latencies += latencies
        return result

    def prepare(self, attacker: Callable[..., Any], *arguments: Any) -> Any:
        """Call an attacker with an address that has not been used, and measure nothing."""
        target = Target(self.server.url, self.address())
        call = self._attackers.submit(attacker, target, *arguments)
        return call.result(MAX_ATTACK_SECONDS)

    def address(self) -> str:
        """Return a client address that has not been used."""
        number = next(numbers)
        return f"198.51.{100 + number // 250}.{1 + number % 250}"

    def check(self, attack: str, measured: float, at_most: float, unit: str = "") -> None:
        """Note a measurement in the table; fail if it is above its bound."""
        unit = f" {unit}" if unit else ""
        bound = f"at most {at_most:,.0f}{unit}"
        self._rows.append(Row(attack, bound, f"{measured:,.0f}{unit}", self._neighbours_text()))
        assert measured <= at_most, f"{attack}: {measured:,.0f}{unit}, {bound}"

    def check_equal(self, attack: str, measured: object, expected: object) -> None:
        """Note a result in the table; fail if it is not the expected one."""
        text = self._neighbours_text()
        self._rows.append(Row(attack, str(expected), str(measured), text))
        assert measured == expected, attack

    def check_refused(self, attack: str, counts: Counts, status: int) -> None:
        """Check that all responses have this status, or 429 above the limit of pages."""
        expected = counts[f"status {status}"]
        others = counts.total_responses() - expected - counts["status 429"]
        self.check(f"{attack}: neither {status} nor 429", others, 0)
        assert expected > 0, f"{attack}: none was answered with {status}"

    def check_neighbours(self) -> None:
        """Check how long the messages of the neighbours took during all attacks of this test."""
        if not self._latencies:
            return
        if IS_LONG:
            assert percentile(self._latencies, 0.99) <= MAX_P99_MS, self._neighbours_text()
        assert percentile(self._latencies, 0.5) <= MAX_MEDIAN_MS, self._neighbours_text()

    def _neighbours_text(self) -> str:
        if not self._latencies:
            return ""
        return f"{percentile(self._latencies, 0.99):.0f} ms ({len(self._latencies)})"

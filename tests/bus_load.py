"""Measures what messages cost a worker that does not serve their rooms.

Run it with `python -m tests.bus_load`: one worker serves 500 rooms with 480 messages a second, and
another one a quiet room; they share PostgreSQL and Redis, and have the default limits. A number is
that of the seconds; `sqlite` selects that database. The delay of a message in the quiet room is the
time from when it was due (an open loop) until another person has received it.
"""

import json
import multiprocessing
import selectors
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

from sqlalchemy import text

from tests.clients import Stranger
from tests.hostile.neighbours import Neighbours, percentile
from tests.servers import ConfabServer, cpu_seconds, gunicorn, wait_until
from tests.services import postgres, redis

ROOMS = 500
MESSAGES_PER_SECOND = 480.0
QUIET_PEOPLE = 1
"""People in the quiet room, each of whom posts 0.8 messages a second."""

SECONDS = 60.0
MAX_CPU_RATIO = 0.05
MAX_ADDED_P99_MS = 50.0
READY_SECONDS = 120.0
PAUSE_SECONDS = 0.2
PING = b"\x81\x012"
"""A text frame with a ping of Engine.IO."""

REFUSAL = b'"ok":false'

INSERT_ROOM = text(
    "INSERT INTO rooms (label, name, head, epoch, created_at)"
    " VALUES (:label, 'A room', 0, 'first', CURRENT_TIMESTAMP)"
)


@dataclass
class Usage:
    """What happened in a number of seconds: CPU time of the workers, and the quiet room."""

    seconds: float
    quiet_cpu: float
    busy_cpu: float
    busy_messages: int
    delays_ms: list[float]

    @property
    def quiet_load(self) -> float:
        """The CPU of the quiet worker, in cores."""
        return self.quiet_cpu / self.seconds

    @property
    def busy_load(self) -> float:
        """The CPU of the busy worker, in cores."""
        return self.busy_cpu / self.seconds

    @property
    def p99_ms(self) -> float:
        """The 99th percentile of the delays in the quiet room."""
        return percentile(self.delays_ms, 0.99)

    def __str__(self) -> str:
        return (
            f"{self.busy_messages / self.seconds:.0f} messages/s in the busy rooms, "
            f"CPU of the busy worker {100 * self.busy_load:.1f} %, of the quiet one "
            f"{100 * self.quiet_load:.2f} %; quiet room: p50 "
            f"{percentile(self.delays_ms, 0.5):.0f} ms, p99 {self.p99_ms:.0f} ms"
        )


@dataclass
class Measurement:
    """The workers before the load and under it."""

    before: Usage
    during: Usage

    @property
    def cpu_ratio(self) -> float:
        """All the CPU of the quiet worker, as a share of that of the busy one.

        Both serve MESSAGES_PER_SECOND. On a busy machine, the load generator sends fewer, while
        most of what the quiet worker does has nothing to do with messages.
        """
        cpu_per_message = self.during.busy_cpu / self.during.busy_messages
        return self.during.quiet_load / (cpu_per_message * MESSAGES_PER_SECOND)

    @property
    def added_p99_ms(self) -> float:
        """What the messages add to the 99th percentile of the delays in the quiet room."""
        return self.during.p99_ms - self.before.p99_ms

    def __str__(self) -> str:
        return (
            f"CPU of the quiet worker: {100 * self.cpu_ratio:.1f} % of that of the busy worker "
            f"(at most {100 * MAX_CPU_RATIO:.0f} %); p99 in the quiet room: "
            f"{self.added_p99_ms:+.0f} ms (at most +{MAX_ADDED_P99_MS:.0f} ms)"
        )


class Load:
    """A process with a person in each of the busy rooms, who post in turn."""

    def __init__(self, url: str, labels: list[str], per_second: float) -> None:
        context = multiprocessing.get_context("spawn")
        self._is_ready = context.Event()
        self._is_going = context.Event()
        self._is_ending = context.Event()
        self._sent = context.Value("l", 0)
        self._refused = context.Value("l", 0)
        events = (self._is_ready, self._is_going, self._is_ending)
        arguments = (url, labels, per_second, *events, self._sent, self._refused)
        self._process = context.Process(target=_post_in_turn, args=arguments, daemon=True)

    def __enter__(self) -> "Load":
        self._process.start()
        wait_until(
            lambda: self._is_ready.is_set() or self._process.exitcode is not None,
            READY_SECONDS,
            "everybody is in a room",
        )
        assert self._process.exitcode is None, "the load generator has ended"
        return self

    def __exit__(self, *_: object) -> None:
        self._is_ending.set()
        self._is_going.set()
        self._process.join(10)
        self._process.kill()

    def begin(self) -> None:
        """Start to post."""
        self._is_going.set()

    @property
    def sent(self) -> int:
        """How many messages have been posted."""
        return int(self._sent.value)

    @property
    def refused(self) -> int:
        """How many of them at least were refused."""
        return int(self._refused.value)


def _post_in_turn(
    url: str,
    labels: list[str],
    per_second: float,
    is_ready: Event,
    is_going: Event,
    is_ending: Event,
    sent: "multiprocessing.sharedctypes.Synchronized[int]",
    refused: "multiprocessing.sharedctypes.Synchronized[int]",
) -> None:
    """Join every room, and post in one after the other until the end; read and drop the rest."""
    people = []
    for number, label in enumerate(labels):
        address = f"10.{number // 250}.{number % 250}.1"
        person = Stranger(url, X_Forwarded_For=address)
        assert person.ask("join", {"label": label})["ok"]
        people.append(person)
    with selectors.DefaultSelector() as selector:
        for person in people:
            selector.register(person.connection, selectors.EVENT_READ, person)
        is_ready.set()
        while not is_going.is_set():
            _drop_received(selector, time.monotonic() + PAUSE_SECONDS)  # it answers pings
        due = time.monotonic()
        while not is_ending.is_set():
            for person in people:
                # A person who is late does not catch up: the limits would refuse that.
                due = max(due + 1 / per_second, time.monotonic())
                refused.value += _drop_received(selector, due)
                person.emit("chat", json.dumps({"handle": "Ada", "message": f"at {due}"}))
                sent.value += 1
                if is_ending.is_set():
                    break


def _drop_received(selector: selectors.BaseSelector, until: float) -> int:
    """Read what arrives until a time, and answer pings; return how many refusals were in it."""
    refused = 0
    while (left := until - time.monotonic()) > 0:
        for key, _ in selector.select(left):
            received = key.data.connection.recv(65536)
            refused += REFUSAL in received
            if PING in received:
                key.data.send("3")
    return refused


def measure(folder: Path, seconds: float, database: str) -> Measurement:
    """Measure with `sqlite` or `postgresql` for so many seconds, before and under the load."""
    labels = [f"busy-{number}" for number in range(ROOMS)]
    with _servers(folder, database) as (quiet, busy):
        with quiet.database() as engine, engine.begin() as connection:
            connection.execute(INSERT_ROOM, [{"label": label} for label in labels])
        with (
            Neighbours(quiet.url, QUIET_PEOPLE) as neighbours,
            Load(busy.url, labels, MESSAGES_PER_SECOND) as load,
        ):
            before = _use(neighbours, quiet, busy, seconds)
            load.begin()
            wait_until(lambda: load.sent > ROOMS, what="the load has begun")
            during = _use(neighbours, quiet, busy, seconds)
            assert load.refused == 0, f"{load.refused} messages were refused"
            assert during.busy_messages > 0, "nothing was stored in the busy rooms"
    return Measurement(before, during)


def _use(neighbours: Neighbours, quiet: ConfabServer, busy: ConfabServer, seconds: float) -> Usage:
    """Return what the workers use in so many seconds."""
    workers = [server.processes()[1] for server in (quiet, busy)]
    with neighbours.observed() as delays_ms:
        began = time.monotonic()
        cpu_before = [cpu_seconds(worker) for worker in workers]
        stored_before = _stored(busy)
        time.sleep(seconds)
        quiet_cpu, busy_cpu = (
            cpu_seconds(worker) - before for worker, before in zip(workers, cpu_before, strict=True)
        )
        stored = _stored(busy) - stored_before
        took = time.monotonic() - began
    return Usage(took, quiet_cpu, busy_cpu, stored, delays_ms)


def _stored(server: ConfabServer) -> int:
    """Return how many messages are stored in the busy rooms."""
    statement = text("SELECT sum(head) FROM rooms WHERE label LIKE 'busy-%'")
    with server.database() as engine, engine.connect() as connection:
        return int(connection.scalar(statement) or 0)


@contextmanager
def _servers(folder: Path, database: str) -> Iterator[tuple[ConfabServer, ConfabServer]]:
    """Run two servers of one worker each that share a database and Redis."""
    settings: dict[str, Any] = {"SECRET_KEY": "the same for both of them", "LIMITS": "on"}
    with ExitStack() as stack:
        settings["REDIS_URL"] = stack.enter_context(redis(folder / "redis")).url
        if database == "postgresql":
            settings["DATABASE_URL"] = stack.enter_context(postgres()).database()
        else:
            settings["DATABASE_URL"] = f"sqlite:///{folder}/confab.db"
        quiet = stack.enter_context(gunicorn(folder / "quiet", **settings))
        busy = stack.enter_context(gunicorn(folder / "busy", **settings))
        yield quiet, busy


def main(arguments: list[str]) -> int:
    """Print the measurement; return 0 when the bounds are met, otherwise 1."""
    numbers = [float(argument) for argument in arguments if argument[0].isdigit()]
    database = "sqlite" if "sqlite" in arguments else "postgresql"
    with tempfile.TemporaryDirectory() as folder:
        measured = measure(Path(folder), numbers[0] if numbers else SECONDS, database)
    sys.stdout.write(f"before: {measured.before}\nduring: {measured.during}\n{measured}\n")
    is_cheap = measured.cpu_ratio <= MAX_CPU_RATIO
    return 0 if is_cheap and measured.added_p99_ms <= MAX_ADDED_P99_MS else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

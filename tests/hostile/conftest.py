"""Fixtures of the hostile tests: a server with the default limits, its neighbours and attackers."""

from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any

import pytest

from tests.hostile.attack import (
    IS_LONG,
    MAX_MEDIAN_MS,
    PEOPLE,
    Attack,
    alone_on_its_cpu,
    attackers_process,
)
from tests.hostile.attackers import (
    LONG_ROOM,
    LONG_TEXT,
    MANY_TEXTS,
    UNREAD_PAGES,
    fill_room,
    hold_connections,
)
from tests.hostile.counts import Counts
from tests.hostile.neighbours import Neighbours, percentile
from tests.hostile.report import Row, table
from tests.hostile.target import Target
from tests.servers import ConfabServer, flask_run, gunicorn

FILLER_ADDRESS = "198.51.99.1"
HELD_CONNECTIONS = 100
HELD_ON_FLASK_RUN = 10

ROWS = pytest.StashKey[list[Row]]()


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print what was measured."""
    rows = config.stash.get(ROWS, [])
    if rows:
        terminalreporter.section("attacks")
        terminalreporter.write_line(table(rows))


@pytest.fixture(scope="package")
def rows(pytestconfig: pytest.Config) -> list[Row]:
    """The measurements of all tests."""
    return pytestconfig.stash.setdefault(ROWS, [])


@pytest.fixture(scope="package")
def attackers() -> Iterator[ProcessPoolExecutor]:
    """The process in which attackers run."""
    with attackers_process() as executor:
        yield executor


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConfabServer]:
    """One worker, as in production, with the default limits.

    It takes the tests for a proxy, because they connect from this machine, and so trusts the
    client addresses in their X-Forwarded-For.
    """
    folder = tmp_path_factory.mktemp("server")
    with gunicorn(folder, LIMITS="on") as started, alone_on_its_cpu(started):
        yield started


@pytest.fixture(scope="package")
def neighbours(server: ConfabServer) -> Iterator[Neighbours]:
    """Honest people who chat all the time."""
    with Neighbours(server.url, PEOPLE) as people:
        yield people


@pytest.fixture(scope="package")
def long_room(server: ConfabServer) -> str:
    """The label of a room of long messages."""
    fill_room(Target(server.url, FILLER_ADDRESS), LONG_ROOM, LONG_TEXT, MANY_TEXTS)
    return LONG_ROOM


@pytest.fixture(scope="package", autouse=not IS_LONG)
def held_on_gunicorn(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Future[Counts] | None]:
    """Connections without progress; None in the long form, in which nothing else runs meanwhile."""
    if IS_LONG or not _is_awaited(request):
        yield None
        return
    server = gunicorn(tmp_path_factory.mktemp("held"), LIMITS="on")
    with ThreadPoolExecutor(1) as thread:
        yield thread.submit(_hold_connections, server, HELD_CONNECTIONS, UNREAD_PAGES)


@pytest.fixture(scope="package", autouse=not IS_LONG)
def held_on_flask_run(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Future[Counts] | None]:
    """Connections without progress to the development server."""
    if not _is_awaited(request):
        yield None
        return
    server = flask_run(tmp_path_factory.mktemp("held"), LIMITS="on")
    with ThreadPoolExecutor(1) as thread:
        yield thread.submit(_hold_connections, server, HELD_ON_FLASK_RUN, 0)


def _is_awaited(request: pytest.FixtureRequest) -> bool:
    """Return whether one of the selected tests waits for the connections."""
    return any(item.path.name == "test_without_progress.py" for item in request.session.items)


def _hold_connections(
    started: AbstractContextManager[ConfabServer], number: int, unread: int
) -> Counts:
    """Start a server and hold connections to it, while neighbours chat there."""
    with started as server, Neighbours(server.url, PEOPLE) as people:
        target = Target(server.url, FILLER_ADDRESS)
        if unread:
            fill_room(target, LONG_ROOM, LONG_TEXT, MANY_TEXTS)
        with people.observed() as latencies:
            counts = hold_connections(target, number, unread)
    assert percentile(latencies, 0.5) <= MAX_MEDIAN_MS
    return counts


@pytest.fixture
def attack(
    server: ConfabServer,
    neighbours: Neighbours,
    attackers: ProcessPoolExecutor,
    rows: list[Row],
) -> Iterator[Attack]:
    """An attack. In the end, the neighbours must not have suffered."""
    made = Attack(server, neighbours, attackers, rows)
    yield made
    made.check_neighbours()

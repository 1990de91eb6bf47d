"""Fixtures of the hostile tests: a server with the default limits, its neighbours and attackers."""

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import pytest

from tests.hostile.attack import IS_LONG, PEOPLE, Attack, attackers_process, keep_to_one_cpu
from tests.hostile.attackers import LONG_ROOM, LONG_TEXT, MANY_TEXTS, fill_room
from tests.hostile.neighbours import Neighbours
from tests.hostile.report import Row, table
from tests.hostile.target import Target
from tests.servers import ConfabServer, gunicorn

FILLER_ADDRESS = "198.51.99.1"

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

    It takes the tests for a proxy, because they connect from this machine, and so believes the
    client addresses in their X-Forwarded-For.
    """
    with gunicorn(tmp_path_factory.mktemp("server"), LIMITS="on") as started:
        if IS_LONG:
            keep_to_one_cpu(started)
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

"""Whose turn it is: many who come at once, and the others who were there before."""

import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import eventlet
import pytest

from chat.engine.scheduler import TURN_SECONDS, FairScheduler

WORK_SECONDS = TURN_SECONDS / 4


@pytest.fixture
def turns() -> FairScheduler:
    return FairScheduler(eventlet.hubs.get_hub())


def worker(turns: FairScheduler, work: Callable[[], object]) -> Any:
    def come_and_work() -> None:
        turns.wait()
        end = time.monotonic() + WORK_SECONDS
        while time.monotonic() < end:
            pass
        work()

    return eventlet.spawn(come_and_work)


def test_who_comes_first_is_served_first(turns: FairScheduler) -> None:
    done: list[int] = []

    for each in [worker(turns, partial(done.append, number)) for number in range(40)]:
        each.wait()

    assert done == list(range(40))


def test_a_hundred_who_come_at_once_keep_nobody_waiting_for_all_of_them(
    turns: FairScheduler,
) -> None:
    done: list[int] = []
    seen: list[int] = []

    def somebody_else() -> None:
        while len(done) < 100:
            eventlet.sleep(0)
            seen.append(len(done))

    hundred = [worker(turns, partial(done.append, 1)) for _ in range(100)]
    eventlet.spawn(somebody_else).wait()

    assert [each.wait() for each in hundred] == [None] * 100
    assert (
        max(after - before for before, after in pairwise([0, *seen]))
        <= TURN_SECONDS / WORK_SECONDS + 1
    )


def test_who_gives_up_waiting_is_not_called(turns: FairScheduler) -> None:
    done: list[str] = []
    ada, ben, cy = (worker(turns, partial(done.append, name)) for name in ("Ada", "Ben", "Cy"))
    eventlet.spawn(ben.kill)

    ada.wait()
    cy.wait()

    assert done == ["Ada", "Cy"]


def test_one_who_fails_keeps_nobody_from_their_turn(turns: FairScheduler) -> None:
    done: list[str] = []

    def fail() -> None:
        raise ValueError("Ada stumbles")

    ada, ben = worker(turns, fail), worker(turns, partial(done.append, "Ben"))
    ben.wait()

    with pytest.raises(ValueError, match="stumbles"):
        ada.wait()
    assert done == ["Ben"]

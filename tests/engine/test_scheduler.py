"""The fair scheduler: work is done in order, and a burst of work does not block other greenlets."""

import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import eventlet
import pytest

from chat.engine.scheduler import MAX_IDLE_GREENLETS, TIME_SLICE_SECONDS, FairScheduler

WORK_SECONDS = TIME_SLICE_SECONDS / 4
MAX_ITEMS_PER_SLICE = TIME_SLICE_SECONDS / WORK_SECONDS + 1


@pytest.fixture
def scheduler() -> FairScheduler:
    return FairScheduler(eventlet.hubs.get_hub())


def spawn_worker(scheduler: FairScheduler, work: Callable[[], object]) -> Any:
    """Return a greenlet that waits for its turn, keeps the CPU busy, and then calls `work`."""

    def wait_and_work() -> None:
        scheduler.wait_turn()
        end = time.monotonic() + WORK_SECONDS
        while time.monotonic() < end:
            pass
        work()

    return eventlet.spawn(wait_and_work)


def test_turns_are_given_in_the_order_of_the_requests(scheduler: FairScheduler) -> None:
    done: list[int] = []
    workers = [spawn_worker(scheduler, partial(done.append, number)) for number in range(40)]

    for worker in workers:
        worker.wait()

    assert done == list(range(40))


def test_a_burst_of_work_does_not_block_other_greenlets(scheduler: FairScheduler) -> None:
    done: list[int] = []
    observed: list[int] = []

    def observe() -> None:
        while len(done) < 100:
            eventlet.sleep(0)
            observed.append(len(done))

    workers = [spawn_worker(scheduler, partial(done.append, 1)) for _ in range(100)]
    eventlet.spawn(observe).wait()

    for worker in workers:
        worker.wait()
    done_in_between = [after - before for before, after in pairwise([0, *observed])]
    assert max(done_in_between) <= MAX_ITEMS_PER_SLICE


def test_addresses_take_turns(scheduler: FairScheduler) -> None:
    done: list[str] = []
    for number in range(20):
        scheduler.spawn(partial(done.append, f"Mallory {number}"), "198.51.100.1")
    for number in range(3):
        scheduler.spawn(partial(done.append, f"Ada {number}"), "203.0.113.7")
    while len(done) < 23:
        eventlet.sleep(0)

    assert done[:6] == ["Mallory 0", "Ada 0", "Mallory 1", "Ada 1", "Mallory 2", "Ada 2"]
    assert done[6:] == [f"Mallory {number}" for number in range(3, 20)]


def test_a_greenlet_that_is_killed_while_waiting_gets_no_turn(scheduler: FairScheduler) -> None:
    done: list[str] = []
    ada = spawn_worker(scheduler, partial(done.append, "Ada"))
    ben = spawn_worker(scheduler, partial(done.append, "Ben"))
    cy = spawn_worker(scheduler, partial(done.append, "Cy"))
    eventlet.spawn(ben.kill)

    ada.wait()
    cy.wait()

    assert done == ["Ada", "Cy"]


def test_an_exception_does_not_affect_later_turns(scheduler: FairScheduler) -> None:
    done: list[str] = []

    def fail() -> None:
        raise ValueError("Ada's work fails")

    ada = spawn_worker(scheduler, fail)
    ben = spawn_worker(scheduler, partial(done.append, "Ben"))
    ben.wait()

    with pytest.raises(ValueError, match="fails"):
        ada.wait()
    assert done == ["Ben"]


def test_spawned_work_is_done_in_order_in_reused_greenlets(scheduler: FairScheduler) -> None:
    done: list[int] = []
    greenlets: set[Any] = set()

    def work(number: int) -> None:
        greenlets.add(eventlet.getcurrent())
        done.append(number)

    for number in range(MAX_IDLE_GREENLETS * 2):
        scheduler.spawn(partial(work, number))
    while len(done) < MAX_IDLE_GREENLETS * 2:
        eventlet.sleep(0)

    assert done == list(range(MAX_IDLE_GREENLETS * 2))
    assert len(greenlets) == 1

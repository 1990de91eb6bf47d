"""Group commit: each item is completed or refused exactly once, whatever fails in its batch."""

import random
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import count
from pathlib import Path

import pytest

from chat.errors import Busy
from chat.storage.group_commit import MAX_BATCH_ITEMS, MAX_PENDING_ITEMS, GroupCommit
from tests.clients import Node, Person
from tests.servers import flask_run, wait_until

ANSWER_SECONDS = 10.0


class Stop(BaseException):
    """Ends a thread or a greenlet from outside, as SystemExit or GreenletExit do."""


class Item:
    """An item of work. It calls `when_done` at the moment it is marked as done."""

    def __init__(self, when_done: Callable[[], None] = lambda: None) -> None:
        self.failure: Exception | None = None
        self._is_done = False
        self._when_done = when_done

    @property
    def done(self) -> bool:
        return self._is_done

    @done.setter
    def done(self, value: bool) -> None:
        self._is_done = value
        self._when_done()


def complete(batch: list[Item]) -> None:
    """Mark all items as done."""
    for item in batch:
        item.done = True


def start_thread(work: Callable[[], None]) -> threading.Thread:
    """Run a function in a thread that does not keep the test run from ending."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def test_many_pending_items_are_completed_in_batches_of_limited_size() -> None:
    sizes = []

    def work(batch: list[Item]) -> None:
        sizes.append(len(batch))
        complete(batch)

    group = GroupCommit(work)
    group._pending.extend(Item() for _ in range(MAX_BATCH_ITEMS))

    group.submit(Item())

    assert sizes == [MAX_BATCH_ITEMS, 1]


def test_many_items_of_one_thread_are_completed_in_their_order() -> None:
    done: list[Item] = []
    sizes = []

    def work(batch: list[Item]) -> None:
        sizes.append(len(batch))
        done.extend(batch)
        complete(batch)

    items = [Item() for _ in range(MAX_BATCH_ITEMS + 1)]
    group = GroupCommit(work)

    group.submit_many(items)

    assert sizes == [MAX_BATCH_ITEMS, 1]
    assert done == items


def test_one_of_many_items_that_fails_does_not_affect_the_others() -> None:
    items = [Item() for _ in range(5)]

    def work(batch: list[Item]) -> None:
        if items[2] in batch:
            raise ValueError
        complete(batch)

    GroupCommit(work).submit_many(items)

    assert all(item.done for item in items)
    assert [index for index, item in enumerate(items) if item.failure is not None] == [2]


def test_many_items_are_refused_together_when_too_many_are_pending() -> None:
    group: GroupCommit[Item] = GroupCommit(complete)
    group._pending.extend(Item() for _ in range(MAX_PENDING_ITEMS - 1))
    items = [Item(), Item()]

    with pytest.raises(Busy):
        group.submit_many(items)

    assert not any(item.done for item in items)
    assert len(group._pending) == MAX_PENDING_ITEMS - 1


def test_an_item_is_refused_at_once_when_too_many_are_pending() -> None:
    group: GroupCommit[Item] = GroupCommit(lambda batch: None)
    group._pending.extend([Item()] * MAX_PENDING_ITEMS)

    with pytest.raises(Busy):
        group.submit(Item())


def test_items_that_the_work_function_does_not_mark_are_done_when_it_returns() -> None:
    group: GroupCommit[Item] = GroupCommit(lambda batch: None)
    item = Item()

    leader = start_thread(lambda: group.submit(item))
    leader.join(ANSWER_SECONDS)

    assert item.done


def test_an_item_that_arrives_while_others_are_refused_is_completed() -> None:
    threads: list[threading.Thread] = []

    def work(batch: list[Item]) -> None:
        if first in batch:
            raise Busy
        complete(batch)

    def submit_another() -> None:
        threads.append(start_thread(lambda: group.submit(late)))
        wait_until(
            lambda: late in group._pending or not threads[0].is_alive(),
            what="the late item is queued",
        )

    group: GroupCommit[Item] = GroupCommit(work)
    first = Item(when_done=submit_another)
    late = Item()
    later = Item()

    with pytest.raises(Busy):
        group.submit(first)

    threads[0].join(ANSWER_SECONDS)
    assert not threads[0].is_alive(), "the late item is neither completed nor refused"
    next_leader = start_thread(lambda: group.submit(later))
    next_leader.join(ANSWER_SECONDS)
    assert later.done


def test_items_that_are_pending_during_a_busy_batch_are_refused_with_it() -> None:
    attempts = 0
    leads = threading.Event()

    def work(_batch: list[Item]) -> None:
        nonlocal attempts
        attempts += 1
        leads.set()
        wait_until(lambda: len(group._pending) == 4, what="four more items are queued")
        raise Busy

    group: GroupCommit[Item] = GroupCommit(work)

    with ThreadPoolExecutor(5) as threads:
        answers = [threads.submit(group.submit, Item())]
        assert leads.wait(ANSWER_SECONDS)
        answers += [threads.submit(group.submit, Item()) for _ in range(4)]
        refusals = [answer.exception(ANSWER_SECONDS) for answer in answers]

    assert [type(refusal) for refusal in refusals] == [Busy] * 5
    assert len({id(refusal) for refusal in refusals}) == 5, "each thread raises its own exception"
    assert attempts == 1


def test_a_database_that_becomes_busy_while_a_batch_is_split_is_tried_once() -> None:
    attempts: list[int] = []

    def work(batch: list[Item]) -> None:
        attempts.append(len(batch))
        if len(batch) > 1:
            raise RuntimeError
        raise Busy

    group: GroupCommit[Item] = GroupCommit(work)
    others = [Item() for _ in range(4)]
    group._pending.extend(others)

    with pytest.raises(Busy):
        group.submit(Item())

    assert attempts == [5, 1]
    assert all(isinstance(other.failure, Busy) for other in others)


@pytest.mark.parametrize("failure", [Busy, RuntimeError, Stop])
def test_an_item_that_was_marked_as_done_is_never_refused(failure: type[BaseException]) -> None:
    def work(batch: list[Item]) -> None:
        batch[0].done = True
        raise failure

    group: GroupCommit[Item] = GroupCommit(work)
    stored = Item()
    group._pending.append(stored)

    with pytest.raises(failure):
        group.submit(Item())

    assert stored.failure is None


def test_a_stopped_leader_refuses_its_batch() -> None:
    def work(_batch: list[Item]) -> None:
        raise SystemExit

    group = GroupCommit(work)
    waiting = Item()
    group._pending.append(waiting)

    with pytest.raises(SystemExit):
        group.submit(Item())

    assert isinstance(waiting.failure, Busy)


def test_a_leader_that_is_stopped_while_it_splits_a_batch_refuses_all_of_it() -> None:
    def work(batch: list[Item]) -> None:
        if len(batch) > 1:
            raise RuntimeError
        raise Stop

    group: GroupCommit[Item] = GroupCommit(work)
    others = [Item() for _ in range(4)]
    group._pending.extend(others)

    with pytest.raises(Stop):
        group.submit(Item())

    assert all(other.done for other in others)
    assert [type(other.failure) for other in others] == [Busy] * 4


def test_a_leader_that_is_stopped_before_its_first_batch_leaves_it_to_the_next() -> None:
    stops = iter([SystemExit])

    def stop_once() -> None:
        for stop in stops:
            raise stop

    group = GroupCommit(complete, stop_once)
    stopped = Item()
    following = Item()
    with pytest.raises(SystemExit):
        group.submit(stopped)

    with ThreadPoolExecutor() as threads:
        threads.submit(group.submit, following).result(ANSWER_SECONDS)

    assert stopped.done
    assert following.done


@pytest.mark.parametrize("seed", range(4))
def test_every_item_of_many_threads_is_completed_once_or_refused(seed: int) -> None:
    chance = random.Random(seed)
    completed = Counter[Item]()
    done: list[Item] = []
    refused: list[Item] = []

    def work(batch: list[Item]) -> None:
        failure = chance.choices([None, Busy, RuntimeError, Stop], [12, 3, 3, 1])[0]
        marked = batch[: chance.randrange(len(batch) + 1)] if failure else batch
        completed.update(marked)
        complete(marked)
        if failure:
            raise failure

    def submit_items(number: int) -> None:
        for _ in range(number):
            item = Item()
            try:
                group.submit(item)
            except (Busy, RuntimeError):
                refused.append(item)
            except Stop:  # it may be completed or not
                continue
            else:
                done.append(item)

    group: GroupCommit[Item] = GroupCommit(work, yield_now=lambda: None)
    threads = [start_thread(lambda: submit_items(150)) for _ in range(8)]
    for thread in threads:
        thread.join(ANSWER_SECONDS)

    assert not any(thread.is_alive() for thread in threads), "a thread waits forever"
    assert done
    assert refused
    assert {completed[item] for item in done} == {1}
    assert {completed[item] for item in refused} == {0}
    assert not group._pending


@pytest.mark.servers
@pytest.mark.slow
def test_after_a_long_lock_of_the_database_all_clients_can_post_again(tmp_path: Path) -> None:
    with flask_run(tmp_path) as server, Node() as node, ThreadPoolExecutor(8) as threads:
        server.room("kitchen")
        clients = [node.person(server.url) for _ in range(8)]
        for client in clients:
            client.join("kitchen")
        unlocked = threading.Event()

        def post_until_stored(client: Person) -> int:
            """Return how many messages a client posted until one was stored after the lock."""
            for number in count(1):
                answer = client.ask("chat", {"handle": "Ada", "message": "hello"})
                assert answer["ok"] or answer["code"] == "busy", answer
                if answer["ok"] and unlocked.is_set():
                    return number
            raise AssertionError

        def has_refusal() -> bool:
            answers = [answer for client in clients for answer in list(client.answers.values())]
            return any(answer["ok"] is False for answer in answers)

        path = tmp_path / "instance" / "confab.db"
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            posting = [threads.submit(post_until_stored, client) for client in clients]
            wait_until(has_refusal, what="a message is refused")
            other.execute("ROLLBACK")
        unlocked.set()

        assert all(posted.result(30) for posted in posting)
        assert all(client.post("later")["ok"] for client in clients)

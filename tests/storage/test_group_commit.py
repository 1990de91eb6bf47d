"""Group commit between threads: whatever fails in a batch, every change is answered, once, and the next ones go on."""

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
from chat.storage.group_commit import GroupCommit
from tests.clients import Node, Person
from tests.servers import flask_run, wait_until

ANSWERED_SECONDS = 10.0


class Stop(BaseException):
    """What ends a thread or a greenlet from outside."""


class Item:
    """Something to be done, which runs `when_done` at the moment it is marked as done."""

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


def finish(batch: list[Item]) -> None:
    for item in batch:
        item.done = True


def in_thread(work: Callable[[], None]) -> threading.Thread:
    """Run something in a thread that does not keep the tests from ending."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def test_a_change_that_comes_while_others_are_refused_is_answered() -> None:
    def work(batch: list[Item]) -> None:
        if first in batch:
            raise Busy
        finish(batch)

    def let_another_come() -> None:
        threads.append(in_thread(lambda: group.submit(late)))
        wait_until(
            lambda: late in group._pending or not threads[0].is_alive(),
            what="the late change is queued",
        )

    threads: list[threading.Thread] = []
    group: GroupCommit[Item] = GroupCommit(work)
    first, late, later = Item(when_done=let_another_come), Item(), Item()

    with pytest.raises(Busy):
        group.submit(first)

    threads[0].join(ANSWERED_SECONDS)
    assert not threads[0].is_alive(), (
        "nobody answers the change that came while the others were refused"
    )
    next_one = in_thread(lambda: group.submit(later))
    next_one.join(ANSWERED_SECONDS)
    assert later.done


def test_who_waits_behind_a_busy_batch_is_refused_with_it() -> None:
    attempts = 0

    def work(_batch: list[Item]) -> None:
        nonlocal attempts
        attempts += 1
        wait_until(lambda: len(group._pending) == 4, what="four more changes are queued")
        raise Busy

    group: GroupCommit[Item] = GroupCommit(work)

    with ThreadPoolExecutor(5) as threads:
        answers = [threads.submit(group.submit, Item()) for _ in range(5)]
        refusals = [answer.exception(ANSWERED_SECONDS) for answer in answers]

    assert [type(refusal) for refusal in refusals] == [Busy] * 5
    assert len(set(map(id, refusals))) == 5, "an exception is raised in one thread only"
    assert attempts == 1


def test_a_database_that_becomes_busy_is_waited_for_once() -> None:
    attempts: list[int] = []

    def work(batch: list[Item]) -> None:
        attempts.append(len(batch))
        raise RuntimeError if len(batch) > 1 else Busy

    group: GroupCommit[Item] = GroupCommit(work)
    others = [Item() for _ in range(4)]
    group._pending.extend(others)

    with pytest.raises(Busy):
        group.submit(Item())

    assert attempts == [5, 1]
    assert all(isinstance(other.failure, Busy) for other in others)


@pytest.mark.parametrize("failure", [Busy, RuntimeError, Stop])
def test_what_is_stored_is_never_refused(failure: type[BaseException]) -> None:
    def work(batch: list[Item]) -> None:
        batch[0].done = True
        raise failure

    group: GroupCommit[Item] = GroupCommit(work)
    stored = Item()
    group._pending.append(stored)

    with pytest.raises(failure):
        group.submit(Item())

    assert stored.failure is None


def test_a_leader_that_is_stopped_while_it_splits_a_batch_leaves_nobody_waiting() -> None:
    def work(batch: list[Item]) -> None:
        raise RuntimeError if len(batch) > 1 else Stop

    group: GroupCommit[Item] = GroupCommit(work)
    others = [Item() for _ in range(4)]
    group._pending.extend(others)

    with pytest.raises(Stop):
        group.submit(Item())

    assert [(other.done, type(other.failure)) for other in others] == [(True, Busy)] * 4


def test_work_that_forgets_to_mark_its_batch_does_not_keep_its_leader() -> None:
    group: GroupCommit[Item] = GroupCommit(lambda batch: None)
    item = Item()

    leader = in_thread(lambda: group.submit(item))
    leader.join(ANSWERED_SECONDS)

    assert item.done


@pytest.mark.parametrize("seed", range(4))
def test_every_change_of_many_threads_is_done_once_or_refused(seed: int) -> None:
    chance, completed = random.Random(seed), Counter[Item]()
    done, refused = list[Item](), list[Item]()

    def work(batch: list[Item]) -> None:
        failure = chance.choices([None, Busy, RuntimeError, Stop], [12, 3, 3, 1])[0]
        marked = batch[: chance.randrange(len(batch) + 1)] if failure else batch
        completed.update(marked)
        finish(marked)
        if failure:
            raise failure

    def send(number: int) -> None:
        for _ in range(number):
            item = Item()
            try:
                group.submit(item)
            except (Busy, RuntimeError):
                refused.append(item)
            except Stop:  # nobody knows what became of it
                continue
            else:
                done.append(item)

    group: GroupCommit[Item] = GroupCommit(work, yield_now=lambda: None)
    threads = [in_thread(lambda: send(150)) for _ in range(8)]
    for thread in threads:
        thread.join(ANSWERED_SECONDS)

    assert not any(thread.is_alive() for thread in threads), "somebody is never answered"
    assert done
    assert refused
    assert {completed[item] for item in done} == {1}
    assert {completed[item] for item in refused} == {0}
    assert not group._pending


@pytest.mark.servers
@pytest.mark.slow
def test_after_a_long_lock_everybody_is_answered_and_can_send_again(tmp_path: Path) -> None:
    with flask_run(tmp_path) as server, Node() as node, ThreadPoolExecutor(8) as threads:
        server.room("kitchen")
        people = [node.person(server.url) for _ in range(8)]
        for person in people:
            person.join("kitchen")
        unlocked = threading.Event()

        def send_until_stored(person: Person) -> int:
            """How many messages somebody sent until one was stored after the database was unlocked."""
            for number in count(1):
                answer = person.ask("chat", {"handle": "Ada", "message": "hello"})
                assert answer["ok"] or answer["code"] == "busy", answer
                if answer["ok"] and unlocked.is_set():
                    return number
            raise AssertionError

        with closing(
            sqlite3.connect(tmp_path / "instance" / "confab.db", isolation_level=None)
        ) as other:
            other.execute("BEGIN IMMEDIATE")
            sending = [threads.submit(send_until_stored, person) for person in people]
            wait_until(
                lambda: any(
                    answer["ok"] is False
                    for person in people
                    for answer in list(person.answers.values())
                )
            )
            other.execute("ROLLBACK")
        unlocked.set()

        assert all(sent.result(30) for sent in sending)
        assert all(person.post("later")["ok"] for person in people)

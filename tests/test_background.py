"""Background work runs until it is stopped, and a process that ends can wait for it."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import cast

import pytest

from chat.background import BackgroundLoop, WorkInProgress
from chat.socket_server import SocketServer

ANSWER_SECONDS = 5
SHORT_PAUSE_SECONDS = (0.001, 0.001)


def in_time() -> float:
    """Return a deadline that no test reaches."""
    return time.monotonic() + ANSWER_SECONDS


class ThreadedSocketServer:
    """Starts background tasks as `flask run` does: in threads."""

    def __init__(self) -> None:
        self.tasks: list[threading.Thread] = []

    def start_background_task(self, target: Callable[[], None]) -> None:
        """Run a function in a thread."""
        task = threading.Thread(target=target, daemon=True)
        self.tasks.append(task)
        task.start()

    def sleep(self, seconds: float) -> None:
        """Pause this thread."""
        threading.Event().wait(seconds)


class BlockingWork:
    """Work that goes on until the test releases it."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.release = threading.Event()
        self.finished = threading.Event()

    def __call__(self) -> None:
        """Wait until the test releases it."""
        self.begun.set()
        assert self.release.wait(ANSWER_SECONDS)
        self.finished.set()


@pytest.fixture
def work() -> Iterator[BlockingWork]:
    """Work that goes on until the test releases it, at the latest when the test ends."""
    blocking = BlockingWork()
    yield blocking
    blocking.release.set()


def start_loop(work: Callable[[], None]) -> tuple[BackgroundLoop, threading.Thread]:
    """Start a loop with a very short pause; return it and its thread."""
    server = ThreadedSocketServer()
    loop = BackgroundLoop(cast(SocketServer, server), SHORT_PAUSE_SECONDS, work, "the test's work")
    assert loop.start()
    assert not loop.start(), "it runs already"
    return loop, server.tasks[0]


def test_stop_returns_after_the_work_that_runs_has_ended(work: BlockingWork) -> None:
    loop, task = start_loop(work)
    assert work.begun.wait(ANSWER_SECONDS)

    stopping = threading.Thread(target=loop.stop, args=(in_time(),), daemon=True)
    stopping.start()
    stopping.join(0.2)
    assert stopping.is_alive(), "the work still runs: a connection of the database may be in use"

    work.release.set()
    stopping.join(ANSWER_SECONDS)
    assert not stopping.is_alive()
    assert work.finished.is_set()
    task.join(ANSWER_SECONDS)
    assert not task.is_alive()


def test_stop_returns_at_the_deadline_while_the_work_goes_on(work: BlockingWork) -> None:
    loop, _task = start_loop(work)
    assert work.begun.wait(ANSWER_SECONDS)
    began_at = time.monotonic()

    loop.stop(began_at + 0.1)
    loop.stop(began_at - 1)

    assert not work.finished.is_set()
    assert time.monotonic() - began_at < ANSWER_SECONDS


def test_no_work_begins_after_stop() -> None:
    calls = 0
    called = threading.Event()

    def count() -> None:
        nonlocal calls
        calls += 1
        called.set()

    loop, task = start_loop(count)
    assert called.wait(ANSWER_SECONDS)

    loop.stop(in_time())

    calls_until_stop = calls
    task.join(ANSWER_SECONDS)
    assert not task.is_alive()
    assert calls == calls_until_stop


def test_an_exception_does_not_end_the_loop(caplog: pytest.LogCaptureFixture) -> None:
    calls = 0
    called_twice = threading.Event()

    def fail_once() -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise RuntimeError("once")
        called_twice.set()

    loop, _task = start_loop(fail_once)

    assert called_twice.wait(ANSWER_SECONDS)
    loop.stop(in_time())
    assert "the test's work failed" in caplog.text


def test_stopping_waits_for_the_tasks_that_run_and_allows_no_other(work: BlockingWork) -> None:
    in_progress = WorkInProgress()

    def run_task() -> None:
        with in_progress.task() as may_run:
            assert may_run
            work()

    stopping = threading.Thread(target=in_progress.stop, args=(in_time(),))
    threads = [threading.Thread(target=run_task), stopping]
    threads[0].start()
    assert work.begun.wait(ANSWER_SECONDS)
    threads[1].start()
    threads[1].join(0.05)
    assert threads[1].is_alive()

    work.release.set()

    for thread in threads:
        thread.join(ANSWER_SECONDS)
        assert not thread.is_alive()
    assert work.finished.is_set()
    with in_progress.task() as may_run:
        assert not may_run

"""A background loop repeats its work until it is stopped."""

import threading
from collections.abc import Callable, Iterator
from typing import cast

import pytest

from chat.background import BackgroundLoop
from chat.socket_server import SocketServer

ANSWER_SECONDS = 5
SHORT_PAUSE_SECONDS = (0.001, 0.001)


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

    stopping = threading.Thread(target=loop.stop, daemon=True)
    stopping.start()
    stopping.join(0.2)
    assert stopping.is_alive(), "the work still runs: a connection of the database may be in use"

    work.release.set()
    stopping.join(ANSWER_SECONDS)
    assert not stopping.is_alive()
    assert work.finished.is_set()
    task.join(ANSWER_SECONDS)
    assert not task.is_alive()


def test_no_work_begins_after_stop() -> None:
    calls = 0
    called = threading.Event()

    def count() -> None:
        nonlocal calls
        calls += 1
        called.set()

    loop, task = start_loop(count)
    assert called.wait(ANSWER_SECONDS)

    loop.stop()

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
    loop.stop()
    assert "the test's work failed" in caplog.text

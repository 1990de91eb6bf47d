"""Turns: only so many at a time, and a bounded number that waits."""

import pytest

from chat.engine.concurrency import Turns


class InterruptedSemaphore:
    """A semaphore whose wait is interrupted, as that of a greenlet is by its time limit."""

    def acquire(self) -> bool:
        """Raise what interrupts the wait."""
        raise TimeoutError


def test_too_many_are_refused() -> None:
    turns = Turns(at_once=1, max_waiting=0)

    assert turns.enter()
    assert not turns.enter()
    turns.leave()
    assert turns.enter()


def test_an_interrupted_wait_keeps_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    turns = Turns(at_once=1, max_waiting=1)
    assert turns.enter()
    with monkeypatch.context() as patched:
        patched.setattr(turns, "_free", InterruptedSemaphore())
        for _ in range(3):
            with pytest.raises(TimeoutError):
                turns.enter()

    turns.leave()

    assert turns.enter()

"""The time of the installation is that of its database where the clocks differ much."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from chat import clock


@pytest.fixture(autouse=True)
def clock_of_this_host() -> Iterator[None]:
    """End each test with the clock of this host as it is."""
    yield
    clock.correct(0)


def seconds_ahead() -> float:
    """Return by how many seconds this host is ahead of the installation's time."""
    return (datetime.now(UTC) - clock.utc_now()).total_seconds()


def test_a_small_difference_has_no_effect() -> None:
    clock.correct(0.9)

    assert seconds_ahead() == pytest.approx(0, abs=0.05)


@pytest.mark.parametrize("ahead", [3600, -3600])
def test_a_large_difference_is_corrected(ahead: int) -> None:
    clock.correct(ahead)

    assert seconds_ahead() == pytest.approx(ahead, abs=0.05)


def test_a_difference_near_the_bound_does_not_make_the_time_jump() -> None:
    clock.correct(1.01)
    clock.correct(0.99)

    assert seconds_ahead() == pytest.approx(0.99, abs=0.05)
    clock.correct(0.4)
    assert seconds_ahead() == pytest.approx(0, abs=0.05)


def test_a_corrected_time_does_not_follow_the_clock_of_this_host(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock.correct(3600)
    before = clock.utc_now()

    class SetClock(datetime):
        """A clock that somebody has just set one hour back."""

        @classmethod
        def now(cls, tz: object = None) -> "datetime":  # type: ignore[override]
            return datetime.now(UTC) - timedelta(hours=1)

    monkeypatch.setattr(clock, "datetime", SetClock)

    assert (clock.utc_now() - before).total_seconds() == pytest.approx(0, abs=0.05)

"""Messages cost a worker hardly anything if it does not serve their rooms: tests/bus_load.py."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bus_load import MAX_CPU_RATIO, Measurement, Usage, measure

SECONDS = 4.0
MAX_P99_MS = 1_000
"""Far less than the reconciler's pause; `python -m tests.bus_load` compares the delays."""

MEMORY = Path("/dev/shm")  # its folders have random names


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory: other tests may use the disk at the same time."""
    if not MEMORY.is_dir():
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=MEMORY) as name:
        yield Path(name)


def test_the_cost_is_a_share_of_the_cpu_of_the_busy_worker() -> None:
    before = Usage(10.0, quiet_cpu=0.2, busy_cpu=1.0, busy_messages=0, delays_ms=[10.0])
    during = Usage(20.0, quiet_cpu=0.6, busy_cpu=4.0, busy_messages=9_600, delays_ms=[30.0])

    measured = Measurement(before, during)

    assert measured.cpu_ratio == pytest.approx(0.15)
    assert "CPU of the quiet worker: 15.0 % of that of the busy worker" in str(measured)


@pytest.mark.servers
@pytest.mark.slow
@pytest.mark.timeout(180)
def test_messages_of_500_rooms_cost_a_worker_that_serves_another_room_hardly_anything(
    folder: Path,
) -> None:
    measured = measure(folder, SECONDS, "sqlite")

    assert measured.during.busy_messages > 0
    assert measured.cpu_ratio <= MAX_CPU_RATIO
    assert measured.during.p99_ms <= MAX_P99_MS

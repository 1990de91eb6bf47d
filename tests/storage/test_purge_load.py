"""People who chat hardly wait while expired messages are purged: the short form of purge_load.

The databases are in memory, where possible: other tests may use the disk at the same time, and then
one wait for it can take seconds. `python -m tests.purge_load` measures with the disk.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.purge_load import DATABASES, MAX_P99_MS, measure

pytestmark = [pytest.mark.servers, pytest.mark.slow, pytest.mark.timeout(180)]

MESSAGES = 20_000
MEMORY = Path("/dev/shm")  # its folders have random names


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder in memory; PostgreSQL creates its own beside it."""
    if not MEMORY.is_dir():
        yield tmp_path
        return
    monkeypatch.setattr(tempfile, "tempdir", str(MEMORY))
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@pytest.mark.parametrize("database", DATABASES)
def test_messages_arrive_in_time_during_a_purge(folder: Path, database: str) -> None:
    measured = measure(folder, MESSAGES, database)

    assert measured.during.sent > 10
    assert measured.during.p99_ms <= MAX_P99_MS

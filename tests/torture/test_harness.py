"""What the harness relies on: patches that apply, and log lines that it recognises."""

import re
from pathlib import Path

import pytest

from tests.servers import ROOT
from tests.torture.harness import BLOCKED_LOG
from tests.torture.mutations import MUTATIONS, PATCHES, Mutation
from tests.torture.scenarios import DATABASE_REFUSED_LOG


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.patch)
def test_a_patch_applies(mutation: Mutation, tmp_path: Path) -> None:
    mutation.apply(tmp_path)


def test_every_patch_belongs_to_a_mutation() -> None:
    assert {path.stem for path in PATCHES.iterdir()} == {mutation.patch for mutation in MUTATIONS}


def test_the_log_line_about_a_blocked_event_loop_is_recognised() -> None:
    watchdog = (ROOT / "chat" / "engine" / "watchdog.py").read_text()

    assert BLOCKED_LOG.search(watchdog.replace("%.0f", "300"))


def test_the_log_line_about_a_refusing_database_is_recognised() -> None:
    storage = "".join(path.read_text() for path in (ROOT / "chat" / "storage").glob("*.py"))

    assert re.search("|".join(DATABASE_REFUSED_LOG), storage)

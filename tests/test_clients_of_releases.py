"""Clients that were written for a released version work with this one."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.servers import ROOT, ConfabServer, flask_run

pytestmark = pytest.mark.servers

CLIENTS = ROOT / "tests" / "clients_of_releases"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ConfabServer]:
    """A server with an empty database."""
    with flask_run(tmp_path) as started:
        yield started


def run_client(release: str, *arguments: str) -> dict[str, Any]:
    """Run the client of a release; return what it printed."""
    finished = subprocess.run(
        ["node", str(CLIENTS / f"{release}.mjs"), *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    printed: dict[str, Any] = json.loads(finished.stdout)
    return printed


def test_a_client_of_0_1_0_joins_posts_and_catches_up(server: ConfabServer) -> None:
    label = server.room("kitchen")

    first = run_client("0.1.0", server.url, label, "Ada", "one", "two", "three")
    second = run_client("0.1.0", server.url, label, "Ben", "four")

    for report in (first, second):
        answers = [report["joined"], *report["posted"], report["repeated"], report["rejoined"]]
        assert all(answer["ok"] for answer in answers)
        assert report["joined"]["protocol"] == 1
        assert report["repeated"]["duplicate"] is True
        assert (report["refused"]["ok"], report["refused"]["code"]) == (False, "empty")
    texts = ["one", "two", "three"]
    assert [row["message"] for row in first["broadcasts"]] == texts
    assert [row["message"] for row in first["rejoined"]["messages"]] == texts
    assert [row["message"] for row in first["missed"]["rows"]] == texts
    assert [row["message"] for row in second["before"]["rows"]] == texts
    assert [row["message"] for row in second["missed"]["rows"]] == ["four"]
    assert [row["message"] for row in second["history"]["messages"]] == [*texts, "four"]
    assert second["missed"]["upto"] == second["history"]["head"] == 4

"""`/version`: which program answers."""

import json
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from flask import Flask

from chat.web.version import RELEASE, read_commit
from tests.servers import ROOT
from tests.storage.schema import HEAD

AUTHOR = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")


def git(folder: Path, *words: str) -> str:
    """Run git in a folder; return what it prints."""
    command = ["git", "-C", str(folder), *AUTHOR, *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_it_answers_with_the_versions_of_program_schema_and_protocol(app: Flask) -> None:
    answer = app.test_client().get("/version")

    assert answer.headers["Cache-Control"] == "no-store"
    found = json.loads(answer.data)
    commit = found.pop("commit")
    assert commit is None or re.fullmatch("[0-9a-f]{40}", commit)
    assert found == {"ok": True, "version": RELEASE, "schema": HEAD, "protocol": 1}


def test_the_release_is_that_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert project["version"] == RELEASE


@pytest.mark.parametrize("packed", [False, True], ids=["loose", "packed"])
@pytest.mark.parametrize("place", ["branch", "detached", "worktree"])
def test_the_commit_is_read_from_a_checkout(tmp_path: Path, place: str, packed: bool) -> None:
    folder = tmp_path / "checkout"
    folder.mkdir()
    git(folder, "init", "-q")
    git(folder, "commit", "-q", "--allow-empty", "-m", "One")
    if place == "detached":
        git(folder, "checkout", "-q", "--detach")
    if place == "worktree":
        git(folder, "worktree", "add", "-q", "-b", "other", str(tmp_path / "worktree"))
        folder = tmp_path / "worktree"
        git(folder, "commit", "-q", "--allow-empty", "-m", "Two")
    if packed:
        git(folder, "pack-refs", "--all")

    assert read_commit(folder) == git(folder, "rev-parse", "HEAD")


def test_without_a_checkout_the_commit_is_not_known(tmp_path: Path) -> None:
    assert read_commit(tmp_path) is None
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
    assert read_commit(tmp_path) is None
    (tmp_path / ".git" / "packed-refs").write_text("# pack-refs\n")
    assert read_commit(tmp_path) is None

"""`/version`: which program answers. It says nothing about the database."""

import re
from functools import lru_cache
from pathlib import Path

from flask import Blueprint, Response, jsonify

from chat.storage.migrations import latest_revision
from chat.wire import JSON, PROTOCOL_VERSION, ok
from config import PROJECT_FOLDER

RELEASE = "0.1.0"
"""The last release, as in pyproject.toml."""

COMMIT = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")

blueprint = Blueprint("version", __name__)


@blueprint.get("/version")
def show() -> Response:
    """Answer with the release, the commit, and the versions of the schema and the protocol."""
    response = jsonify(ok(describe_program()))
    response.cache_control.no_store = True
    return response


@lru_cache
def describe_program() -> JSON:
    """Return what `/version` answers.

    Call it when the program starts: its files may be replaced while it runs.
    """
    return {
        "version": RELEASE,
        "commit": read_commit(PROJECT_FOLDER),
        "schema": latest_revision(),
        "protocol": PROTOCOL_VERSION,
    }


def read_commit(folder: Path) -> str | None:
    """Return the commit that is checked out in a folder; None where that is not known."""
    try:
        return _read_commit(_git_folder(folder))
    except OSError:
        return None


def _git_folder(folder: Path) -> Path:
    """Return the folder .git, or the one that a file of this name refers to in a worktree."""
    path = folder / ".git"
    if path.is_file():
        return folder / path.read_text().removeprefix("gitdir:").strip()
    return path


def _read_commit(git: Path) -> str | None:
    """Read HEAD (see gitrepository-layout(5)). Raises OSError."""
    head = (git / "HEAD").read_text().strip()
    if head.startswith("ref:"):
        head = _read_reference(git, head.removeprefix("ref:").strip())
    return head if COMMIT.fullmatch(head) else None


def _read_reference(git: Path, name: str) -> str:
    common = git / "commondir"
    shared = git / common.read_text().strip() if common.exists() else git
    for folder in (git, shared):
        if (folder / name).is_file():
            return (folder / name).read_text().strip()
    for line in (shared / "packed-refs").read_text().splitlines():
        commit, _, packed_name = line.partition(" ")
        if packed_name == name:
            return commit
    return ""

"""The files of an earlier release and of this one, in the folder from which a server runs."""

import shutil
import subprocess
from pathlib import Path

from tests.servers import ROOT

EARLIER_COMMIT = "fb7293874cc23b546f8aa0de45a13f5d64217466"
"""The last one without moderation, and with the schema before it."""

EARLIER_SCHEMA = "0004"

PATHS = (
    "app.py",
    "bin",
    "chat",
    "config.py",
    "gunicorn.conf.py",
    "migrations",
    "pyproject.toml",
    "static",
    "templates",
)


def put_earlier_release(folder: Path) -> None:
    """Replace the files of a program by those of the earlier release. Needs git's history."""
    _remove_files(folder)
    archive = ["git", "archive", EARLIER_COMMIT, *PATHS]
    packed = subprocess.run(archive, cwd=ROOT, check=True, capture_output=True).stdout
    subprocess.run(["tar", "-x"], cwd=folder, check=True, input=packed)


def put_this_release(folder: Path, tree: Path) -> None:
    """Replace the files of a program by those of `tree`, as an update does."""
    _remove_files(folder)
    for name in PATHS:
        source = tree / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)


def _remove_files(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in PATHS:
        path = folder / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)

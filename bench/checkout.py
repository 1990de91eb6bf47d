"""Checks out another commit, with its files in a git worktree and its packages in an environment.

The worktree is removed when the benchmark ends.
"""

import fcntl
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.environments import python_with


class CheckoutError(Exception):
    """The commit cannot be served; the message is a sentence for the user of `make bench`."""


def full_hash(commit: str, repository: Path) -> str:
    """Return the full hash of a commit (a hash, a tag or a branch). Raises CheckoutError."""
    if shutil.which("git") is None:
        raise CheckoutError("BEFORE= needs git: install it and run this again.")
    git_folder = _git(repository, "rev-parse", "--git-dir")
    if git_folder.returncode != 0:
        reason = git_folder.stderr.strip()
        raise CheckoutError(
            f"BEFORE= needs a git clone of Confab, and {repository} is not one: {reason}"
        )
    options = ("--verify", "--quiet", "--end-of-options")
    found = _git(repository, "rev-parse", *options, f"{commit}^{{commit}}")
    if found.returncode != 0:
        raise CheckoutError(
            f"BEFORE={commit} is not a commit of this repository: give a hash, a tag or a branch."
        )
    return found.stdout.strip()


def describe(repository: Path) -> str:
    """Return the short hash of the current commit, and whether there are uncommitted changes."""
    found = _git(
        repository,
        "describe",
        "--always",
        "--exclude=*",
        "--dirty= with uncommitted changes",
    )
    return found.stdout.strip()


@contextmanager
def worktree(commit: str, repository: Path) -> Iterator[Path]:
    """Check out a commit into a git worktree, which is removed at the end. Raises CheckoutError."""
    folder = repository / ".make" / "bench" / "before"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CheckoutError(
                "Another make bench BEFORE= is running here: wait until it ends."
            ) from None
        for path in folder.iterdir():
            if path.is_dir():  # left behind by a benchmark that was killed
                _remove(path, repository)
        tree = folder / commit[:12]
        added = _git(repository, "worktree", "add", "--force", "--detach", str(tree), commit)
        try:
            if added.returncode != 0:
                reason = added.stderr.strip()
                raise CheckoutError(f"git could not create a worktree of {commit[:12]}: {reason}")
            yield tree
        finally:
            _remove(tree, repository)


def python_for(tree: Path, repository: Path) -> str:
    """Return a Python interpreter with the packages that a worktree pins.

    If it pins the same packages as this tree, that is the interpreter of this process. Raises
    CheckoutError and InstallError.
    """
    lock = tree / "requirements" / "run.txt"
    if not lock.exists():
        raise CheckoutError(f"{tree.name} has no requirements/run.txt: choose a newer commit.")
    if lock.read_bytes() == (repository / "requirements" / "run.txt").read_bytes():
        return sys.executable
    return python_with(lock, repository)


def _remove(tree: Path, repository: Path) -> None:
    """Remove a worktree and git's record of it, even if only one of them exists."""
    _git(repository, "worktree", "remove", "--force", "--force", str(tree))
    shutil.rmtree(tree, ignore_errors=True)


def _git(repository: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["git", *arguments], cwd=repository, capture_output=True, text=True, check=False
    )

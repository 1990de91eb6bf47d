"""Another commit of this repository, ready to be served: its files in a git worktree, its packages in an environment.

The worktree is removed when the benchmark ends. The environment is kept in .make/bench/environments/, under a hash of
the Python version and of the lock file: the next benchmark of any commit that pins the same packages finds it.
"""

import fcntl
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

PIP_OPTIONS = ("--no-input", "--disable-pip-version-check", "--retries", "3", "--require-hashes")


class CheckoutError(Exception):
    """The commit cannot be served; the message is one sentence for whoever ran `make bench`."""


def full_hash(commit: str, repository: Path) -> str:
    """The full hash of a commit that is named by a hash, a tag or a branch. Raises CheckoutError."""
    if shutil.which("git") is None:
        raise CheckoutError("BEFORE= needs git: install it and run this again.")
    known = _git(repository, "rev-parse", "--git-dir")
    if known.returncode != 0:
        raise CheckoutError(
            f"BEFORE= needs a git clone of Confab, and git says about {repository}: {known.stderr.strip()}"
        )
    found = _git(
        repository, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{commit}^{{commit}}"
    )
    if found.returncode != 0:
        raise CheckoutError(
            f"BEFORE={commit} is no commit of this repository: give a hash, a tag or a branch."
        )
    return found.stdout.strip()


def describe(repository: Path) -> str:
    """What is checked out: the short hash of the commit, and whether files have been changed since."""
    found = _git(
        repository,
        "describe",
        "--always",
        "--exclude=*",
        "--dirty= with changes that are not committed",
    )
    return found.stdout.strip()


@contextmanager
def worktree(commit: str, repository: Path) -> Iterator[Path]:
    """The files of a commit in a git worktree, which is removed at the end. Raises CheckoutError."""
    folder = repository / ".make" / "bench" / "before"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CheckoutError(
                "Another make bench BEFORE= is running here: wait until it has ended."
            ) from None
        for path in folder.iterdir():
            if path.is_dir():  # left by a benchmark that was killed
                _remove(path, repository)
        tree = folder / commit[:12]
        added = _git(repository, "worktree", "add", "--force", "--detach", str(tree), commit)
        try:
            if added.returncode != 0:
                raise CheckoutError(
                    f"git could not make a worktree of {commit[:12]}: {added.stderr.strip()}"
                )
            yield tree
        finally:
            _remove(tree, repository)


def python_for(tree: Path, repository: Path) -> str:
    """The Python interpreter with the packages that a worktree pins. Raises CheckoutError.

    Where the worktree pins what this tree pins, both are served by the interpreter that runs this.
    """
    lock = tree / "requirements" / "run.txt"
    if not lock.exists():
        raise CheckoutError(f"{tree.name} has no requirements/run.txt: choose a newer commit.")
    if lock.read_bytes() == (repository / "requirements" / "run.txt").read_bytes():
        return sys.executable
    key = sha256(sys.version.encode() + lock.read_bytes()).hexdigest()[:16]
    environment = repository / ".make" / "bench" / "environments" / key
    if not _marker(environment).exists():
        _install(lock, environment)
    return str(environment / "bin" / "python")


def _install(lock: Path, environment: Path) -> None:
    """Make an environment and install what a lock file pins; the marker is written when all of it is there."""
    log = environment.parent.parent / "pip.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    print(f"Installing what {lock} pins; the first time takes a minute or two.", flush=True)
    python = str(environment / "bin" / "python")
    make = [sys.executable, "-m", "venv", "--clear", "--without-pip", str(environment)]
    install = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        python,
        "install",
        *PIP_OPTIONS,
        "-r",
        str(lock),
    ]
    with log.open("w") as output:
        for words in (make, install):
            if (
                subprocess.run(
                    words, stdout=output, stderr=subprocess.STDOUT, check=False
                ).returncode
                != 0
            ):
                raise CheckoutError(
                    f"What {lock} pins could not be installed: the end of {log} says why."
                )
    shutil.copy(lock, _marker(environment))


def _marker(environment: Path) -> Path:
    return environment / "installed-run.txt"


def _remove(tree: Path, repository: Path) -> None:
    """Remove a worktree and what git knows about it, also where only one of both is left."""
    _git(repository, "worktree", "remove", "--force", "--force", str(tree))
    shutil.rmtree(tree, ignore_errors=True)


def _git(repository: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["git", *words], cwd=repository, capture_output=True, text=True, check=False
    )

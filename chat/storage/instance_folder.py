"""The folder of what this installation keeps: its secret, and the lock that lets one process start at a time."""

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from config import StartupError

MIN_KEY_CHARS = 16


@contextmanager
def starting(folder: Path) -> Iterator[None]:
    """Hold the lock of the start: one process starts at a time. Raises CannotStart when the folder is not ours."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # what people said is nobody else's
        lock = os.open(folder / "start.lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise StartupError(
            f"The folder {folder} cannot be written ({error.strerror}): make it writable, or name another in INSTANCE."
        ) from error
    with os.fdopen(lock):
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def secret(folder: Path) -> str:
    """The key that signs our cookies: made once, readable by us alone. Call it while holding the lock of the start.

    Raises CannotStart when the file cannot be read, or be made.
    """
    path = folder / "secret_key"
    try:
        key = _read_key(path)
        if len(key) < MIN_KEY_CHARS:
            key = secrets.token_urlsafe(32)
            _write_key(path, key)
    except OSError as error:
        raise StartupError(
            f"The file {path} cannot be read or made ({error.strerror}): "
            "give it to the user that runs Confab, or set SECRET_KEY."
        ) from error
    except UnicodeDecodeError as error:
        raise StartupError(
            f"The file {path} is not text: restore it from a backup, or remove it, and everybody gets a new identity."
        ) from error
    return key


def _read_key(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return ""


def _write_key(path: Path, key: str) -> None:
    unfinished = path.with_name("secret_key.new")
    unfinished.unlink(missing_ok=True)
    with os.fdopen(
        os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb", buffering=0
    ) as file:
        file.write(key.encode())
        os.fsync(file)  # before the renaming, so that a crash cannot leave an empty file
    unfinished.rename(path)

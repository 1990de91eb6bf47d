"""The folder of what this installation keeps: its secret, and the lock that lets one process start at a time."""

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chat.errors import CannotStart


@contextmanager
def starting(folder: Path) -> Iterator[None]:
    """Hold the lock of the start: one process starts at a time. Raises CannotStart when the folder is not ours."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # what people said is nobody else's
        lock = os.open(folder / "start.lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise CannotStart(
            f"The folder {folder} cannot be written ({error.strerror}): make it writable, or name another in INSTANCE."
        ) from error
    with os.fdopen(lock):
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def secret(folder: Path) -> str:
    """The key that signs our cookies: made once, readable by us alone. Call it while holding the lock of the start."""
    kept = folder / "secret_key"
    if not kept.exists() or len(kept.read_text()) < 16:
        made = folder / "secret_key.new"
        made.unlink(missing_ok=True)
        with os.fdopen(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb", buffering=0) as new:
            new.write(secrets.token_urlsafe(32).encode())
            os.fsync(new)  # a name without its content would be worse than neither
        made.rename(kept)
    return kept.read_text().strip()

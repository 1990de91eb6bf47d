"""The instance folder: its permissions, the secret key, and the start-up lock."""

import logging
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from config import StartupError

try:
    import fcntl
except ImportError:  # Windows
    raise StartupError(
        "Confab needs Linux or macOS (the Python module fcntl is missing): use WSL on Windows."
    ) from None

MIN_KEY_CHARS = 16
FOR_OTHERS = stat.S_IRWXG | stat.S_IRWXO

log = logging.getLogger(__name__)


@contextmanager
def startup_lock(folder: Path) -> Iterator[None]:
    """Hold the start-up lock: one process starts at a time.

    Creates the folder, for this user only. Raises StartupError when that is not possible.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        restrict_to_owner(folder)
        lock = os.open(folder / "start.lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise StartupError(
            f"The folder {folder} cannot be written ({error.strerror}): "
            "make it writable, or name another in INSTANCE."
        ) from error
    with os.fdopen(lock):
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def restrict_to_owner(path: Path) -> None:
    """Remove the permissions of other users from a file or folder.

    Logs a warning when this user may not do that. A folder that many users share, such as /tmp, is
    left as it is.
    """
    mode = path.stat().st_mode
    is_shared_folder = bool(mode & stat.S_ISVTX)
    if is_shared_folder or not mode & FOR_OTHERS:
        return
    try:
        path.chmod(stat.S_IMODE(mode) & ~FOR_OTHERS)
    except OSError as error:
        log.warning(
            "Other users can open %s (%s): make it owned by the user that runs Confab, or remove "
            "their permissions.",
            path,
            error.strerror,
        )


def read_or_create_secret_key(folder: Path) -> str:
    """Return the key that signs cookies and tokens; create it at the first start.

    Call it while holding the start-up lock. Raises StartupError when the file cannot be read or
    made.
    """
    path = folder / "secret_key"
    try:
        key = _read_key(path)
        if len(key) < MIN_KEY_CHARS:
            key = secrets.token_urlsafe(32)
            _write_key(path, key)
    except OSError as error:
        raise StartupError(
            f"The file {path} cannot be read or created ({error.strerror}): "
            "make it owned by the user that runs Confab, or set SECRET_KEY."
        ) from error
    except UnicodeDecodeError as error:
        raise StartupError(
            f"The file {path} is not text: restore it from a backup, or remove it, "
            "and everybody gets a new identity."
        ) from error
    return key


def _read_key(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return ""


def _write_key(path: Path, key: str) -> None:
    new_path = path.with_name("secret_key.new")
    new_path.unlink(missing_ok=True)
    descriptor = os.open(new_path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb", buffering=0) as file:
        file.write(key.encode())
        os.fsync(file)  # before the rename, so that a crash cannot leave an empty file
    new_path.rename(path)

"""The folder of the Unix sockets at which the workers of one host reach each other.

gunicorn's master makes the folder, and only its user can open it. After USR2, two masters share it:
each claims a generation, one character, with which the sockets of its workers begin. The last
master removes the folder at its end.

The system may remove the file with the claim of a master that still lives, because of its age, but
no socket that is in use: see tmpfiles.d(5).

gunicorn.conf.py runs this file and does not import it; see there. So it imports nothing of Confab.
"""

import os
import stat
import tempfile
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from string import ascii_lowercase, digits

FOLDER_PREFIX = "confab-"
GENERATIONS = digits + ascii_lowercase
NUMBER_DIGITS = digits + ascii_lowercase
MASTER_FILE_PREFIX = "master-"
"""Begins the name of a file that contains the process id of a master; its generation follows."""

SOCKET_NAME_CHARS = 3
"""A generation, and two digits for the number of the worker."""

MAX_WORKERS = len(NUMBER_DIGITS) ** 2
MAX_FOLDER_BYTES = 100
"""With the name of a socket, a path is below the 104 bytes of macOS and the 108 of Linux."""

SHORT_FOLDER = "/tmp"  # noqa: S108  # mkdtemp makes the folder in it


def claim_generation(inherited: str | None) -> tuple[str, str]:
    """Claim a generation for this process, the master; return the folder and the generation.

    `inherited` is the folder of the master that has started this one. Raises OSError.
    """
    if inherited is not None and is_usable(inherited):
        folder = inherited
    else:
        folder = _make_folder()
    for generation in GENERATIONS:
        if _claim(folder, generation):
            return folder, generation
    raise FileExistsError(f"{folder} is used by too many processes")


def release_generation(folder: str, generation: str) -> None:
    """Remove what belongs to this master and its workers, and the folder if it was the last.

    Nothing is removed if another master has claimed the generation since the claim of this one was
    removed.
    """
    if _read_claim(_master_file(folder, generation)) in (None, _own_claim()):
        _remove_generation(folder, generation)


def remove_abandoned(folder: str) -> None:
    """Remove what belongs to masters that were killed."""
    for generation in GENERATIONS:
        claim = _read_claim(_master_file(folder, generation))
        if claim is not None and not _is_alive(claim):
            _remove_generation(folder, generation)


def is_usable(folder: str) -> bool:
    """Return whether a folder exists and only the user of this process can open it."""
    try:
        found = os.lstat(folder)
    except OSError:
        return False
    is_private = stat.S_IMODE(found.st_mode) == stat.S_IRWXU
    return stat.S_ISDIR(found.st_mode) and is_private and found.st_uid == os.geteuid()


def socket_name(generation: str, taken_numbers: Collection[int | None]) -> tuple[str, int]:
    """Return the name of the socket of a new worker, and its number, which no other one has.

    Raises OSError when all are taken.
    """
    for number in range(MAX_WORKERS):
        if number not in taken_numbers:
            high, low = divmod(number, len(NUMBER_DIGITS))
            return generation + NUMBER_DIGITS[high] + NUMBER_DIGITS[low], number
    raise FileExistsError("there are too many workers")


def _make_folder() -> str:
    folder = tempfile.mkdtemp(prefix=FOLDER_PREFIX)  # with the mode 0700
    for other in Path(folder).parent.glob(f"{FOLDER_PREFIX}*"):
        if is_usable(str(other)):
            remove_abandoned(str(other))
    if len(os.fsencode(folder)) <= MAX_FOLDER_BYTES:
        return folder
    Path(folder).rmdir()
    return tempfile.mkdtemp(prefix=FOLDER_PREFIX, dir=SHORT_FOLDER)


def _master_file(folder: str, generation: str) -> Path:
    return Path(folder, MASTER_FILE_PREFIX + generation)


def _sockets(folder: str, generation: str) -> list[Path]:
    """Return the sockets of the workers of a master. Raises OSError when the folder is gone."""
    return [
        path
        for path in Path(folder).iterdir()
        if path.name[0] == generation and len(path.name) == SOCKET_NAME_CHARS
    ]


def _remove_generation(folder: str, generation: str) -> None:
    with suppress(OSError):  # somebody else has removed the folder
        for path in _sockets(folder, generation):
            path.unlink(missing_ok=True)
        _master_file(folder, generation).unlink(missing_ok=True)
        Path(folder).rmdir()  # fails while another master uses it


def _claim(folder: str, generation: str) -> bool:
    """Write the claim of this process, unless the generation belongs to another one."""
    if _is_in_use(folder, generation):
        return False
    file = _master_file(folder, generation)
    file.unlink(missing_ok=True)
    try:
        with file.open("x") as opened:
            opened.write(_own_claim())
    except FileExistsError:
        return False  # another master has been faster
    return True


def _is_in_use(folder: str, generation: str) -> bool:
    """Return whether a generation belongs to a master that lives.

    A master that was killed leaves its claim. So sockets without a claim belong to one that lives.
    """
    claim = _read_claim(_master_file(folder, generation))
    if claim is None:
        return bool(_sockets(folder, generation))
    return _is_alive(claim)


def _own_claim() -> str:
    """Return the id of this process and its namespace.

    Ids mean nothing in another container, which may share the folder for temporary files.
    """
    return f"{os.getpid()} {_pid_namespace()}"


def _read_claim(file: Path) -> str | None:
    """Return the claim in a file; None if there is none."""
    try:
        return file.read_text(errors="replace")
    except FileNotFoundError:
        return None


def _is_alive(claim: str) -> bool:
    """Return whether the process of a claim exists."""
    pid, _, namespace = claim.partition(" ")
    if namespace != _pid_namespace():
        return True
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, ValueError):
        return False
    except PermissionError:
        return True  # a process of another user has this id
    return True


def _pid_namespace() -> str:
    """Return what the system calls the namespace of this process's id; "" if it has none."""
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""

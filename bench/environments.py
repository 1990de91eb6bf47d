"""Virtual environments with the packages of a lock file, which `make bench` installs when needed.

They are kept in .make/bench/environments/ under a hash of the Python version and the lock file, so
that they are used again for everything that pins the same packages.
"""

import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

PIP_OPTIONS = ("--no-input", "--disable-pip-version-check", "--retries", "3", "--require-hashes")


class InstallError(Exception):
    """Packages cannot be installed; the message is a sentence for the user of `make bench`."""


def python_with(lock: Path, repository: Path) -> str:
    """Return a Python interpreter with the packages of a lock file. Raises InstallError."""
    key = sha256(sys.version.encode() + lock.read_bytes()).hexdigest()[:16]
    environment = repository / ".make" / "bench" / "environments" / key
    if not _marker(environment).exists():
        _install(lock, environment)
    return str(environment / "bin" / "python")


def _install(lock: Path, environment: Path) -> None:
    """Create an environment with the packages of a lock file; the marker is written last."""
    log = environment.parent.parent / "pip.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    print(f"Installing the packages that {lock} pins; this takes a minute or two.", flush=True)
    python = str(environment / "bin" / "python")
    create = [sys.executable, "-m", "venv", "--clear", "--without-pip", str(environment)]
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
        for command in (create, install):
            finished = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, check=False)
            if finished.returncode != 0:
                raise InstallError(
                    f"The packages that {lock} pins could not be installed: see the end of {log}."
                )
    shutil.copy(lock, _marker(environment))


def _marker(environment: Path) -> Path:
    return environment / "installed-run.txt"

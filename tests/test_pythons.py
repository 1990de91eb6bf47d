"""Confab runs on every Python from 3.11 to 3.14 that is installed on this machine."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.clients import Node
from tests.servers import ROOT, gunicorn

pytestmark = [pytest.mark.servers, pytest.mark.slow, pytest.mark.timeout(900)]

OLDEST_MINOR = 11
NEWEST_MINOR = 14
LOCK_FILE = ROOT / "requirements" / "dev.txt"
LOG_END_CHARACTERS = 5_000


def find_pythons() -> dict[int, Path]:
    """Return the supported Pythons of this machine, except the running one, by minor version."""
    folders = [Path(folder) for folder in os.environ["PATH"].split(":")]
    folders += [Path("/usr/bin"), Path("/usr/local/bin")]
    folders += sorted(Path.home().glob(".pyenv/versions/3.*/bin"))
    found = {}
    for minor in range(OLDEST_MINOR, NEWEST_MINOR + 1):
        if minor == sys.version_info.minor:
            continue
        for folder in folders:
            program = folder / f"python3.{minor}"
            if program.exists() and can_create_venv(program):
                found[minor] = program
    return found


def can_create_venv(program: Path) -> bool:
    """Return whether a Python runs and has the modules that create virtual environments."""
    ended = subprocess.run([program, "-c", "import venv, ensurepip"], capture_output=True)
    return ended.returncode == 0


def run(words: list[str | Path], log: Path) -> None:
    """Run a command in the project's folder; fail with the end of its log."""
    with log.open("ab") as file:
        ended = subprocess.run(
            words, cwd=ROOT, stdout=file, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
        )
    assert ended.returncode == 0, log.read_text()[-LOG_END_CHARACTERS:]


def install_packages(program: Path, venv: Path, log: Path) -> Path:
    """Create a virtual environment with the pinned packages if needed; return its Python."""
    python = venv / "bin" / "python"
    installed_lock = venv / "installed.txt"
    lock = LOCK_FILE.read_text()
    if installed_lock.exists() and installed_lock.read_text() == lock:
        return python
    run([program, "-m", "venv", "--clear", venv], log)
    pip_options: list[str | Path] = ["-q", "--no-input", "--require-hashes", "-r", LOCK_FILE]
    run([python, "-m", "pip", "install", *pip_options], log)
    installed_lock.write_text(lock)
    return python


def test_a_message_is_delivered_by_gunicorn(tmp_path: Path) -> None:
    with gunicorn(tmp_path) as server, Node() as node:
        server.room("kitchen")
        ada = node.person(server.url)
        ben = node.person(server.url)
        ada.join("kitchen")
        ben.join("kitchen")

        ada.post("hello")

        assert [message["message"] for message in ben.hear(1)] == ["hello"]
        assert "not greened" not in server.log()


def test_every_installed_python_passes_the_in_process_tests_and_delivers_a_message(
    tmp_path: Path,
) -> None:
    for minor, program in find_pythons().items():
        log = tmp_path / f"python3.{minor}.log"
        python = install_packages(program, ROOT / ".make" / f"python3.{minor}", log)
        tests: list[str | Path] = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
        run([*tests, "-n", "auto", "-m", "not browser and not servers"], log)
        delivery_test = f"tests/test_pythons.py::{test_a_message_is_delivered_by_gunicorn.__name__}"
        run([*tests, delivery_test], log)

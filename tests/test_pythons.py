"""Every Python from 3.11 to 3.14 that this machine has runs Confab."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.clients import Node
from tests.servers import ROOT, gunicorn

pytestmark = [pytest.mark.servers, pytest.mark.slow, pytest.mark.timeout(900)]

NEWEST = 14
LOCK = ROOT / "requirements" / "dev.txt"


def pythons() -> dict[int, Path]:
    """The other Pythons of this machine that we support, by minor version."""
    folders = [Path(folder) for folder in os.environ["PATH"].split(":")] + [
        Path("/usr/bin"),
        Path("/usr/local/bin"),
    ]
    folders += sorted(Path.home().glob(".pyenv/versions/3.*/bin"))
    found = {}
    for minor in range(11, NEWEST + 1):
        for folder in folders:
            program = folder / f"python3.{minor}"
            if minor != sys.version_info.minor and program.exists() and makes_venvs(program):
                found[minor] = program
    return found


def makes_venvs(program: Path) -> bool:
    """Whether a Python runs, and has what makes a virtual environment."""
    return (
        subprocess.run([program, "-c", "import venv, ensurepip"], capture_output=True).returncode
        == 0
    )


def run(words: list[str | Path], log: Path) -> None:
    """Run a command in the project; its words are shown when it fails."""
    with log.open("ab") as file:
        ended = subprocess.run(
            words, cwd=ROOT, stdout=file, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
        )
    assert ended.returncode == 0, log.read_text()[-5_000:]


def test_a_message_goes_through_gunicorn(tmp_path: Path) -> None:
    with gunicorn(tmp_path) as server, Node() as node:
        server.room("kitchen")
        ada, ben = node.person(server.url), node.person(server.url)
        ada.join("kitchen")
        ben.join("kitchen")

        ada.post("hello")

        assert [said["message"] for said in ben.hear(1)] == ["hello"]
        assert "not greened" not in server.log()


def test_every_python_of_this_machine_runs_the_fast_tests_and_serves(tmp_path: Path) -> None:
    for minor, program in pythons().items():
        place, log = ROOT / ".make" / f"python3.{minor}", tmp_path / f"python3.{minor}.log"
        python, installed = place / "bin" / "python", place / "installed.txt"
        if not installed.exists() or installed.read_text() != LOCK.read_text():
            run([program, "-m", "venv", "--clear", place], log)
            run(
                [
                    python,
                    "-m",
                    "pip",
                    "install",
                    "-q",
                    "--no-input",
                    "--require-hashes",
                    "-r",
                    LOCK,
                ],
                log,
            )
            installed.write_text(LOCK.read_text())
        tests: list[str | Path] = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
        run([*tests, "-m", "not browser and not servers"], log)
        run([*tests, "tests/test_pythons.py", "-k", "goes_through_gunicorn"], log)

"""`make torture` as a program: it stops everything that it has started."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.servers import ROOT, wait_until

pytestmark = [pytest.mark.servers, pytest.mark.timeout(120)]

SIGTERM_STATUS = 143
START_SECONDS = 40


def processes_using(folder: str) -> list[str]:
    """Return the programs that run in a folder, or whose command line or environment names it."""
    found = []
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        try:
            command = (process / "cmdline").read_bytes()
            environment = (process / "environ").read_bytes()
            working_directory = str((process / "cwd").readlink()).encode()
        except OSError:
            continue  # it has ended
        if folder.encode() in command + environment + working_directory:
            found.append(command.replace(b"\0", b" ").decode(errors="replace")[:80])
    return found


def test_a_run_that_is_terminated_stops_its_servers_and_clients() -> None:
    with tempfile.TemporaryDirectory(prefix="t-") as folder:  # short: it holds Unix sockets
        Path(folder).chmod(0o755)  # PostgreSQL runs as another user
        environment = os.environ | {"TMPDIR": folder, "ONLY": "F1", "SEED": "1"}
        command = [sys.executable, "-m", "tests.torture"]
        with subprocess.Popen(command, cwd=ROOT, env=environment) as run:
            try:
                wait_until(lambda: has_started(folder), START_SECONDS, "servers and clients")
            finally:
                run.send_signal(signal.SIGTERM)

        assert run.returncode == SIGTERM_STATUS
        wait_until(lambda: processes_using(folder) == [], what="the end of all processes")


def has_started(folder: str) -> bool:
    """Return whether the servers and the clients of a scenario run."""
    programs = " ".join(processes_using(folder))
    return all(name in programs for name in ("postgres", "redis", "gunicorn", "people.mjs"))

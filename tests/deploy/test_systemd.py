"""The unit of systemd and the user it runs as: deploy/confab.service and deploy/confab.sysusers."""

import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from configparser import RawConfigParser
from pathlib import Path

import pytest

from tests.deploy.proxies import DEPLOY
from tests.servers import ROOT, ConfabServer, _serving, wait_until

pytestmark = pytest.mark.servers

PROGRAM_FOLDER = "/srv/confab"
SETTINGS_FILE = "/etc/confab.env"
START_LIMIT_SECONDS = 10.0
START_LIMIT_BURST = 5
"""The defaults of systemd: it gives up a unit that has been started so often in this time."""

MAX_EXPOSURE = 2.0
"""Of systemd's scale from 0 to 10; below 2 is what it calls "OK"."""


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A copy of the unit for this tree instead of /srv/confab, and with the settings beside it."""
    unit = (DEPLOY / "confab.service").read_text()
    unit = unit.replace(f"{PROGRAM_FOLDER}/.venv/bin/python", sys.executable)
    unit = unit.replace(PROGRAM_FOLDER, str(ROOT)).replace(SETTINGS_FILE, str(tmp_path / "env"))
    path = tmp_path / "confab.service"
    path.write_text(unit)
    shutil.copy(DEPLOY / "confab.env", tmp_path / "env")
    return path


def read_unit(path: Path) -> dict[str, str]:
    """Return what a unit's section [Service] contains."""
    parser = RawConfigParser()
    parser.optionxform = str  # type: ignore[assignment, method-assign]  # as the library documents
    parser.read(path)
    return dict(parser["Service"])


def read_settings(path: Path) -> dict[str, str]:
    """Return the variables in a file for EnvironmentFile."""
    return dict(re.findall(r"^([A-Z_]+)=(.*)$", path.read_text(), re.MULTILINE))


def test_systemd_accepts_the_unit(installed: Path) -> None:
    verified = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(installed)],
        capture_output=True,
        text=True,
        check=False,
    )

    problems = [line for line in verified.stderr.splitlines() if "confab" in line]
    assert problems == []
    assert verified.returncode == 0, verified.stderr


def test_systemd_starts_the_server_again_until_its_database_can_be_reached(
    installed: Path,
) -> None:
    unit = read_unit(installed)

    assert unit["Restart"] == "always"
    assert "RestartPreventExitStatus" not in unit
    assert float(unit["RestartSec"]) > START_LIMIT_SECONDS / START_LIMIT_BURST


def test_the_unit_restricts_what_the_program_may_do(installed: Path) -> None:
    rated = subprocess.run(
        [
            *("systemd-analyze", "security", "--offline=true", "--no-pager"),
            *(f"--threshold={MAX_EXPOSURE * 10:.0f}", str(installed)),
        ],
        capture_output=True,
        text=True,
        check=False,
    )

    assert "Overall exposure level" in rated.stdout
    assert rated.returncode == 0, rated.stdout


def test_systemd_creates_the_user(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    shutil.copy(DEPLOY / "confab.sysusers", tmp_path / "confab.conf")

    subprocess.run(
        ["systemd-sysusers", f"--root={tmp_path}", str(tmp_path / "confab.conf")],
        check=True,
        capture_output=True,
    )

    users = (tmp_path / "etc" / "passwd").read_text()
    assert re.search(r"^confab:.*:/var/lib/confab:\S*nologin$", users, re.MULTILINE), users


def test_the_command_of_the_unit_starts_reloads_and_stops(installed: Path, tmp_path: Path) -> None:
    unit = read_unit(installed)
    settings = read_settings(tmp_path / "env")
    instance = tmp_path / "state"
    environment = dict(each.split("=", 1) for each in unit["Environment"].split())
    notifications = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notifications.bind(str(tmp_path / "notify"))
    notifications.settimeout(30)

    def command(port: int) -> list[str]:
        settings["PORT"] = str(port)
        return shlex.split(unit["ExecStart"])

    server = ConfabServer(tmp_path / "server", command)
    server.environment |= environment | settings
    server.environment |= {"INSTANCE": str(instance), "NOTIFY_SOCKET": str(tmp_path / "notify")}
    server.where = Path(unit["WorkingDirectory"])
    with notifications, _serving(server):
        assert b"READY=1" in notifications.recv(4096)
        master, *workers = server.processes()

        reload_words = shlex.split(unit["ExecReload"].replace("$MAINPID", str(master)))
        subprocess.run(reload_words, check=True)

        def has_new_workers() -> bool:
            first, *others = server.processes()
            return first == master and bool(others) and not set(others) & set(workers)

        wait_until(has_new_workers, 30, "new workers")
        wait_until(server.is_ready, 30, "the new workers answer")
        os.kill(master, signal.SIGTERM)
        wait_until(lambda: not server.is_ready(), float(unit["TimeoutStopSec"]), "it stops")
    assert (instance / "confab.db").exists()

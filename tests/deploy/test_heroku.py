"""Heroku: the files of its Python buildpack, and a dyno with the variables that Heroku sets."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from config import Config, StartupError
from tests.clients import UPGRADE, Node
from tests.servers import ROOT, ConfabServer, _serving
from tests.services import Postgres, Redis

PROCFILE = dict(
    line.split(": ", 1) for line in (ROOT / "Procfile").read_text().splitlines() if line
)
MANIFEST = json.loads((ROOT / "app.json").read_text())
NAME = "confab-1234.herokuapp.com"
DYNO = {"DYNO": "web.1", "SECRET_KEY": "k" * 64}
NOT_DEPLOYED = (".git", ".venv", ".make", "node_modules", "instance", "tests", "__pycache__")


@pytest.fixture
def deployed(tmp_path: Path) -> Path:
    """A copy of what is pushed to Heroku, in which nothing has been installed."""
    ignored = shutil.ignore_patterns(*NOT_DEPLOYED, ".*_cache", "*.log")
    return Path(shutil.copytree(ROOT, tmp_path / "app", ignore=ignored))


def refusal(**environ: str) -> str:
    """Return the sentence with which the program refuses to start."""
    with pytest.raises(StartupError) as refused:
        Config.from_environment({"ENV_FILE": os.devnull, **environ})
    return refused.value.sentence


def test_a_dyno_without_a_database_refuses_to_start() -> None:
    assert "disk of a dyno is erased" in refusal(**DYNO)
    assert "DATABASE_URL" in refusal(**DYNO)
    assert "DATABASE_URL" in refusal(**DYNO, DATABASE_URL="sqlite:////app/confab.db")


def test_a_dyno_without_a_secret_key_refuses_to_start() -> None:
    sentence = refusal(DYNO="web.1", DATABASE_URL="postgres://u:p@host:5432/name")

    assert "disk of a dyno is erased" in sentence
    assert "SECRET_KEY" in sentence


def test_the_url_that_heroku_sets_is_accepted() -> None:
    variables = DYNO | {"DATABASE_URL": "postgres://u:p@host:5432/name"}

    database = Config.from_environment({"ENV_FILE": os.devnull, **variables}).database()

    assert database.drivername == "postgresql+psycopg2"


def test_the_files_name_what_the_project_supports() -> None:
    version = (ROOT / ".python-version").read_text().strip()
    project = (ROOT / "pyproject.toml").read_text()
    supported = re.search(r'requires-python = "(.*)"', project)
    assert supported

    assert version in SpecifierSet(supported[1])
    assert MANIFEST["buildpacks"] == [{"url": "heroku/python"}]
    assert {addon.partition(":")[0] for addon in MANIFEST["addons"]} == {
        "heroku-postgresql",
        "heroku-redis",
    }
    assert MANIFEST["env"]["SECRET_KEY"]["generator"] == "secret"


def test_the_requirements_are_the_pinned_packages(deployed: Path) -> None:
    listed = subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "--dry-run", "--no-deps", "--no-index"),
            *("--quiet", "--ignore-installed", "--report", "-", "-r", "requirements.txt"),
        ],
        cwd=deployed,
        capture_output=True,
        text=True,
        check=False,
    )

    # No package can be found without an index: pip stops at the first of the pinned file.
    first = re.search(r"^(\S+==\S+)", (ROOT / "requirements/run.txt").read_text(), re.MULTILINE)
    assert first
    assert str(Requirement(first[1])) in listed.stderr, listed.stderr


@pytest.mark.servers
def test_a_dyno_serves_the_app(
    deployed: Path, tmp_path: Path, postgres_server: Postgres, redis_server: Redis
) -> None:
    environment = {name: str(each["value"]) for name, each in settings_with_values().items()}
    environment |= DYNO | {
        "DATABASE_URL": postgres_server.database().replace("postgresql:", "postgres:"),
        "REDIS_URL": redis_server.url,
        "PUBLIC_URL": f"https://{NAME}",
        "GUNICORN_CMD_ARGS": "--access-logfile -",  # which the buildpack sets
    }
    web = shlex.split(PROCFILE["web"])
    server = ConfabServer(tmp_path / "dyno", lambda _port: [sys.executable, "-m", *web])
    server.where = deployed
    del server.environment["INSTANCE"]
    server.environment |= environment | {"PORT": str(server.port)}
    with _serving(server), Node() as node:
        request = urllib.request.Request(f"{server.url}/kitchen/", headers=from_router())
        with urllib.request.urlopen(request, timeout=10) as response:
            assert response.headers["Set-Cookie"].startswith("__Host-confab=")
        ada = node.person(server.url, UPGRADE, extraHeaders=from_router())
        ben = node.person(server.url, UPGRADE, extraHeaders=from_router())
        ada.join("kitchen")
        ben.join("kitchen")

        ada.post("Hello")

        assert [message["message"] for message in ben.hear(1)] == ["Hello"]
        assert listening_addresses(server.port) == {"00000000"}  # all, not only loopback


def settings_with_values() -> dict[str, dict[str, object]]:
    """Return the variables of app.json that have a value."""
    return {name: each for name, each in MANIFEST["env"].items() if "value" in each}


def from_router() -> dict[str, str]:
    """Return the headers that Heroku's router adds."""
    return {"Host": NAME, "X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.1"}


def listening_addresses(port: int) -> set[str]:
    """Return the IPv4 addresses at which a port is open, as the kernel writes them."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    is_listening = "0A"
    local = [row[1].split(":") for row in rows if row[3] == is_listening]
    return {address for address, number in local if int(number, 16) == port}

"""`flask confab schema`: it shows, upgrades and downgrades, and no other command downgrades."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from flask import Flask
from flask_migrate import upgrade

from chat import create_app, shut_down
from chat.models import Room
from chat.storage import journal
from config import Config
from tests.cli.test_servers import CONFAB
from tests.servers import ROOT
from tests.storage.schema import HEAD, NEWER, REVISIONS, newer_migrations, schema_tools

BEFORE = REVISIONS[-2]

Confab = Callable[..., Result]


@pytest.fixture(params=["SQLite", pytest.param("PostgreSQL", marks=pytest.mark.servers)])
def config(request: pytest.FixtureRequest, tmp_path: Path) -> Config:
    """The settings of an installation with an empty database of each kind."""
    (tmp_path / "instance").mkdir()
    if request.param == "SQLite":
        return Config(instance=tmp_path / "instance")
    postgres_server = request.getfixturevalue("postgres_server")
    return Config(instance=tmp_path / "instance", database_url=postgres_server.database())


@pytest.fixture
def app(config: Config) -> Iterator[Flask]:
    """An app that has not migrated its database, as commands get it."""
    made = create_app(config, migrates=False)
    yield made
    shut_down(made)


@pytest.fixture
def confab(app: Flask) -> Confab:
    """A function that runs `flask confab` with some words."""

    def run(*words: str) -> Result:
        return app.test_cli_runner().invoke(args=["confab", *words])

    return run


def shown(confab: Confab) -> dict[str, Any]:
    """Return what `flask confab schema --json` prints."""
    result = confab("schema", "--json")
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_a_new_database_is_shown_and_upgraded(confab: Confab) -> None:
    assert "no tables yet" in confab("schema").stdout
    assert shown(confab)["pending"] == REVISIONS

    created = confab("schema", "--upgrade")
    again = confab("schema", "--upgrade")

    assert created.stdout == f"Created the tables with schema {HEAD}.\n"
    assert again.stdout == f"Nothing to do: the database has schema {HEAD}.\n"
    assert "up to date" in confab("schema").stdout
    found = shown(confab)
    assert (found["revision"], found["latest"], found["pending"]) == (HEAD, HEAD, [])
    assert found["usable"]
    assert found["compatible_from"] in REVISIONS


def test_a_downgrade_and_an_upgrade_keep_the_rooms(app: Flask, confab: Confab) -> None:
    confab("schema", "--upgrade")
    with app.app_context():
        journal.get_or_create_room("kitchen")

    down = confab("schema", "--downgrade", BEFORE, "--yes")

    assert down.exit_code == 0, down.output
    assert f"Downgraded the database from schema {HEAD} to {BEFORE}." in down.stdout
    assert f"to be upgraded: {HEAD}" in confab("schema").stdout
    assert shown(confab)["revision"] == BEFORE
    up = confab("schema", "--upgrade")
    assert up.stdout == f"Upgraded the database from schema {BEFORE} to {HEAD}.\n"
    with app.app_context():
        assert Room.find("kitchen").label == "kitchen"


def test_other_commands_upgrade_the_database_first(confab: Confab) -> None:
    assert confab("rooms", "--json").stdout == "[]\n"
    assert shown(confab)["pending"] == []


def test_other_commands_check_the_secret_key_and_this_one_does_not(
    config: Config, confab: Confab
) -> None:
    assert confab("rooms").exit_code == 0
    other = create_app(config.model_copy(update={"secret_key": 32 * "x"}), migrates=False)

    rooms = other.test_cli_runner().invoke(args=["confab", "rooms"])
    schema = other.test_cli_runner().invoke(args=["confab", "schema"])
    shut_down(other)

    is_refused = config.database_url is not None  # SQLite is used by one host
    assert (rooms.exit_code, "SECRET_KEY" in rooms.stderr) == (int(is_refused), is_refused)
    assert (schema.exit_code, "up to date" in schema.stdout) == (0, True)


def test_a_downgrade_asks_first(confab: Confab) -> None:
    confab("schema", "--upgrade")

    refused = confab("schema", "--downgrade", BEFORE)

    assert refused.exit_code == 1
    assert "add --yes" in refused.stderr
    assert shown(confab)["revision"] == HEAD


@pytest.mark.parametrize("target", [HEAD, NEWER, "base", "x"])
def test_only_an_older_schema_of_this_release_can_be_the_target(
    confab: Confab, target: str
) -> None:
    confab("schema", "--upgrade")

    refused = confab("schema", "--downgrade", target, "--yes")

    assert refused.exit_code == 1
    assert f"{target} is not an older one that this release knows" in refused.stderr
    assert f"These are: {', '.join(REVISIONS[:-1])}." in refused.stderr
    assert shown(confab)["revision"] == HEAD


def test_an_upgrade_and_a_downgrade_at_once_are_refused(confab: Confab) -> None:
    assert confab("schema", "--upgrade", "--downgrade", BEFORE).exit_code == 2


@pytest.mark.parametrize("compatible_from", [HEAD, NEWER])
def test_the_schema_of_a_newer_release_is_shown_and_not_touched(
    config: Config, confab: Confab, tmp_path: Path, compatible_from: str
) -> None:
    with schema_tools(config):
        upgrade(directory=newer_migrations(tmp_path, compatible_from=compatible_from))
    is_usable = compatible_from == HEAD

    found = shown(confab)
    assert (found["revision"], found["pending"], found["usable"]) == (NEWER, [], is_usable)
    state = "this release can use it" if is_usable else "this release cannot use it"
    assert state in confab("schema").stdout
    refused = confab("schema", "--downgrade", HEAD, "--yes")
    assert refused.exit_code == 1
    assert "only a release that knows it can downgrade it" in refused.stderr
    upgraded = confab("schema", "--upgrade")
    assert upgraded.exit_code == (0 if is_usable else 1)
    assert ("update the program" in upgraded.stderr) == (not is_usable)
    assert shown(confab)["revision"] == NEWER


def test_a_database_that_cannot_be_opened_is_reported_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "confab.db").write_bytes(b"this is not a database, but it is long enough" * 100)
    environment = {
        "PATH": str(Path(sys.executable).parent),
        "INSTANCE": str(tmp_path),
        "ENV_FILE": "/dev/null",
    }

    ended = subprocess.run(
        [*CONFAB, "schema"], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=50
    )

    assert ended.returncode == 1
    assert ended.stdout == ""
    [sentence] = ended.stderr.splitlines()
    assert sentence.startswith("Error: The database sqlite:///")
    assert sentence.endswith("check DATABASE_URL.")

"""The schema: every way to today's version keeps what is stored, and says which programs may use it."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import Flask
from flask_migrate import downgrade, upgrade
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import IntegrityError

from chat import create_app
from chat.models import Room
from chat.storage import database, journal, migrations
from chat.storage.database import db, read_transaction, write_transaction
from config import Config, StartupError
from tests.conftest import Patch
from tests.services import Postgres

ROOT = Path(__file__).resolve().parent.parent
MIGRATIONS = ROOT / "migrations"
SCRIPTS = {script.revision: script for script in ScriptDirectory(str(MIGRATIONS)).walk_revisions()}
ORDER = list(reversed(SCRIPTS))  # the oldest revision first
WITH_INSTANCE = ORDER[ORDER.index("0003") :]  # those that know the table
HEAD = ORDER[-1]
JSON = dict[str, Any]

NEWER = "0099"
NEWER_MIGRATION = f"""
from alembic import op
import sqlalchemy as sa
revision = "{NEWER}"
down_revision = "{{head}}"
compatible_from = "{{compatible_from}}"
def upgrade():
    {{upgrade}}
def downgrade():
    {{downgrade}}
"""


def add_migration(migrations: Path, **given: str) -> None:
    """Make a folder of migrations that of a newer release, with one more than this program has."""
    defaults = {"head": HEAD, "compatible_from": HEAD, "upgrade": "pass", "downgrade": "pass"}
    (migrations / "versions" / f"{NEWER}_newer.py").write_text(
        NEWER_MIGRATION.format(**defaults | given)
    )


@pytest.fixture(params=["SQLite", pytest.param("PostgreSQL", marks=pytest.mark.servers)])
def config(request: pytest.FixtureRequest, tmp_path: Path) -> Config:
    """The settings of a Confab whose database is still empty."""
    (tmp_path / "instance").mkdir()
    if request.param == "SQLite":
        return Config(instance=tmp_path / "instance")
    postgres_server: Postgres = request.getfixturevalue("postgres_server")
    return Config(instance=tmp_path / "instance", database_url=postgres_server.database())


@pytest.fixture
def sqlite(tmp_path: Path) -> Config:
    """The same, on SQLite only."""
    (tmp_path / "instance").mkdir()
    return Config(instance=tmp_path / "instance")


@contextmanager
def schema_tools(config: Config) -> Iterator[None]:
    """The database, with no program that brings it up to date."""
    app = Flask("schema tools")
    app.config["SQLALCHEMY_DATABASE_URI"] = config.database()
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = database.engine_options(config.database())
    database.init_app(app)
    migrations.init_app(app)
    with app.app_context():
        try:
            yield
        finally:
            db.engine.dispose()


@contextmanager
def running(config: Config) -> Iterator[Flask]:
    """Confab, which has brought its database up to date."""
    app = create_app(config)
    with app.app_context():
        try:
            yield app
        finally:
            db.engine.dispose()


def fill(revision: str) -> None:
    """A database of this revision with what people said in two rooms, one with a reaction where there are any."""
    upgrade(directory=str(MIGRATIONS), revision=revision)
    with write_transaction() as transaction:
        for room_id, label in ((1, "kitchen"), (5, "garden")):
            room = "INSERT INTO rooms (id, label, name, head, floor, epoch, created_at)"
            room += " VALUES (:id, :label, 'Tea', 2, 0, 'first', '2026-01-02 03:04:05.678')"
            transaction.execute(text(room), {"id": room_id, "label": label})
            message = "INSERT INTO messages (room_id, seq, rev, author, client_id, handle, message, timestamp)"
            message += " VALUES (:id, :seq, :seq, 'ada', :client_id, 'Ada', 'hello', '2026-01-02 03:04:05.678')"
            for seq in (1, 2):
                client_id = f"a-random-id-of-{seq}"
                transaction.execute(
                    text(message), {"id": room_id, "seq": seq, "client_id": client_id}
                )
        if revision != "0001":
            transaction.execute(
                text("""UPDATE messages SET reactions = '{"👍": ["ben"]}' WHERE seq = 2""")
            )


def stored(*, without: tuple[str, ...] = ()) -> list[JSON]:
    """All rooms and messages, as the database has them."""
    found: list[JSON] = []
    with read_transaction() as connection:
        for statement in (
            "SELECT * FROM rooms ORDER BY id",
            "SELECT * FROM messages ORDER BY room_id, seq",
        ):
            found += map(dict, connection.execute(text(statement)).mappings())
    return [{key: value for key, value in row.items() if key not in without} for row in found]


def compatible_from() -> str | None:
    """What the database says of the oldest program that may use it."""
    with read_transaction() as connection:
        found: str | None = connection.scalar(
            text("SELECT value FROM instance WHERE key = 'compatible_from'")
        )
        return found


def revision() -> str | None:
    """The revision of the database."""
    with read_transaction() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def schema(connection: Connection) -> set[str]:
    """The statements that make SQLite's tables and indexes, however they are quoted and indented."""
    made = connection.execute(
        text("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name != 'sqlite_sequence'")
    )
    return {re.sub(r"\s+", " ", statement.replace('"', "")) for statement in made.scalars()}


def newer_migrations(folder: Path, **given: str) -> str:
    """The migrations of a newer release."""
    copy = shutil.copytree(
        MIGRATIONS, folder / "migrations", ignore=shutil.ignore_patterns("__pycache__")
    )
    add_migration(copy, **given)
    return str(copy)


@pytest.mark.parametrize("start", ["0001", "0002"])
def test_an_upgrade_keeps_every_room_message_and_reaction(config: Config, start: str) -> None:
    with schema_tools(config):
        fill(start)
        before = stored()
    without = ("reactions",) if start == "0001" else ()

    with running(config):
        assert stored(without=without) == before
        assert revision() == HEAD
        said = Room.find("garden").changes(0, 10).messages
        assert [message.message for message in said] == ["hello", "hello"]
        assert [message.reactions for message in said] == [
            None,
            None if start == "0001" else {"👍": ["ben"]},
        ]


@pytest.mark.parametrize("target", ["0002", "0001"])
def test_a_downgrade_keeps_every_room_and_message(config: Config, target: str) -> None:
    without = ("reactions",) if target == "0001" else ()
    with schema_tools(config):
        fill("0002")
        before = stored(without=without)
        upgrade(directory=str(MIGRATIONS))

        downgrade(directory=str(MIGRATIONS), revision=target)

        assert stored() == before
        assert revision() == target
    with running(config):
        assert stored(without=without) == before


def test_a_database_goes_down_to_nothing_and_up_again(config: Config) -> None:
    with schema_tools(config):
        fill("0002")
        upgrade(directory=str(MIGRATIONS))
        downgrade(directory=str(MIGRATIONS), revision="base")
    with running(config):
        assert stored() == []
        assert revision() == HEAD


def test_an_upgraded_schema_is_that_of_the_models(config: Config) -> None:
    with schema_tools(config):
        fill("0001")
    with running(config), read_transaction() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, db.metadata) == []


def test_the_schema_of_sqlite_is_the_same_to_the_letter_whichever_way_it_was_made(
    sqlite: Config, tmp_path: Path
) -> None:
    by_models = create_engine("sqlite://")
    with by_models.begin() as connection:
        db.metadata.create_all(connection)
        modelled = schema(connection)
    by_models.dispose()
    fresh = Config(instance=tmp_path / "fresh")
    with schema_tools(sqlite):
        fill("0002")
        with read_transaction() as connection:
            before = schema(connection)
        upgrade(directory=str(MIGRATIONS))
        downgrade(directory=str(MIGRATIONS), revision="0002")
        with read_transaction() as connection:
            assert schema(connection) == before
        upgrade(directory=str(MIGRATIONS))
        with read_transaction() as connection:
            upgraded = schema(connection)

    with running(fresh), read_transaction() as connection:
        assert schema(connection) == upgraded
        assert {
            statement for statement in upgraded if "alembic_version" not in statement
        } == modelled
        assert any("AUTOINCREMENT" in statement for statement in upgraded)


def test_new_rooms_get_ids_above_all_that_were_ever_used(config: Config) -> None:
    with schema_tools(config):
        fill("0002")
        if config.database_url is not None:
            with write_transaction() as transaction:  # the rooms above were given their ids
                transaction.execute(text("SELECT setval('rooms_id_seq', 5)"))
    with running(config):
        with write_transaction() as transaction:
            transaction.execute(text("DELETE FROM messages WHERE room_id = 5"))
            transaction.execute(text("DELETE FROM rooms WHERE id = 5"))

        party = journal.get_or_create_room("party")

        assert party.id == 6
        assert party.changes(0, 10).messages == []


def test_messages_whose_room_was_deleted_in_the_sqlite_shell_never_appear_in_a_new_room(
    sqlite: Config,
) -> None:
    with schema_tools(sqlite):
        fill("0002")
    shell = create_engine(sqlite.database())  # enforces no foreign keys, as the shell of SQLite
    with shell.begin() as connection:
        connection.execute(text("DELETE FROM rooms WHERE label = 'garden'"))
    shell.dispose()

    with running(sqlite):
        party = journal.get_or_create_room("party")

        assert party.id == 6
        assert party.changes(0, 10).messages == []
        assert [row["room_id"] for row in stored() if "seq" in row] == [1, 1, 5, 5]


def test_foreign_keys_are_enforced_after_a_migration(config: Config) -> None:
    with schema_tools(config):
        fill("0002")
        upgrade(directory=str(MIGRATIONS))
        with pytest.raises(IntegrityError), write_transaction() as transaction:
            transaction.execute(text("DELETE FROM rooms WHERE id = 5"))


def test_a_migration_that_leaves_messages_without_a_room_changes_nothing(
    sqlite: Config, tmp_path: Path
) -> None:
    newer = newer_migrations(tmp_path, upgrade="op.execute('DELETE FROM rooms WHERE id = 5')")
    with schema_tools(sqlite):
        fill("0002")
        before = stored()

        with pytest.raises(StartupError, match="3") as refused:
            upgrade(directory=newer)

        assert "messages without a room" in refused.value.sentence
        assert stored() == before
        assert revision() == "0002"
        with pytest.raises(IntegrityError), write_transaction() as transaction:
            transaction.execute(text("DELETE FROM rooms WHERE id = 5"))


def test_a_migration_that_fails_changes_nothing(config: Config, tmp_path: Path) -> None:
    newer = newer_migrations(tmp_path, upgrade="op.drop_table('messages'); 1 / 0")
    with schema_tools(config):
        fill("0002")
        before = stored()

        with pytest.raises(ZeroDivisionError):
            upgrade(directory=newer)

        assert stored() == before
        assert revision() == "0002"


def test_a_start_that_cannot_migrate_a_locked_database_says_so(
    sqlite: Config, monkeypatch: Patch
) -> None:
    monkeypatch.setattr(database, "LOCK_WAIT_SECONDS", 0.1)
    monkeypatch.setattr(migrations, "START_WAIT_SECONDS", 0.1)
    with schema_tools(sqlite):
        fill("0002")
        with write_transaction(), pytest.raises(StartupError) as refused:
            create_app(sqlite)

    assert "database is locked" in refused.value.sentence


@pytest.mark.parametrize("name", WITH_INSTANCE)
def test_every_migration_names_the_oldest_revision_whose_program_may_still_run(name: str) -> None:
    script = SCRIPTS[name]
    before = SCRIPTS[str(script.down_revision)]
    earliest = getattr(before.module, "compatible_from", ORDER[0])

    assert re.search(r"^compatible_from = ", Path(script.path).read_text(), re.MULTILINE)
    assert ORDER.index(earliest) <= ORDER.index(script.module.compatible_from) <= ORDER.index(name)


@pytest.mark.parametrize("name", WITH_INSTANCE)
def test_the_database_has_what_its_revision_says(config: Config, name: str) -> None:
    with schema_tools(config):
        upgrade(directory=str(MIGRATIONS), revision=name)

        assert compatible_from() == SCRIPTS[name].module.compatible_from


def test_a_downgrade_restores_the_earlier_value(config: Config, tmp_path: Path) -> None:
    newer = newer_migrations(tmp_path, compatible_from=NEWER)
    with schema_tools(config):
        upgrade(directory=newer)
        assert compatible_from() == NEWER

        downgrade(directory=newer, revision=HEAD)

        assert compatible_from() == SCRIPTS[HEAD].module.compatible_from

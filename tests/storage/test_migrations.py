"""Migrations keep all rooms and messages, and record which releases may use the schema."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from flask import Flask
from flask_migrate import downgrade, upgrade
from sqlalchemy import Connection, create_engine, event, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.pool import Pool

from chat import create_app, wire
from chat.models import Room
from chat.moderation.rules import RoomRules
from chat.storage import database, journal, migrations
from chat.storage.database import db, read_transaction, write_transaction
from config import Config, StartupError
from tests.conftest import JSON, Patch
from tests.services import Postgres
from tests.storage.schema import (
    HEAD,
    MIGRATIONS,
    NEWER,
    REVISIONS,
    SCRIPTS,
    newer_migrations,
    schema_tools,
)

REVISIONS_WITH_INSTANCE = REVISIONS[REVISIONS.index("0003") :]
"""The revisions that have the table `instance`."""

INSERT_ROOM = text(
    "INSERT INTO rooms (id, label, name, head, floor, epoch, created_at)"
    " VALUES (:id, :label, 'Tea', 2, 0, 'first', '2026-01-02 03:04:05.678')"
)
INSERT_MESSAGE = text(
    "INSERT INTO messages"
    " (room_id, seq, rev, author, client_id, handle, message, timestamp)"
    " VALUES"
    " (:id, :seq, :seq, 'ada', :client_id, 'Ada', 'hello', '2026-01-02 03:04:05.678')"
)
ADD_REACTION = text("""UPDATE messages SET reactions = '{"👍": ["ben"]}' WHERE seq = 2""")

COLUMNS_OF_MODERATION = {
    *RoomRules._fields,
    "purge_at",
    "names_version",
    "details",
}
"""The columns of `rooms` and `messages` that migration 0005 adds."""


@pytest.fixture(params=["SQLite", pytest.param("PostgreSQL", marks=pytest.mark.servers)])
def config(request: pytest.FixtureRequest, tmp_path: Path) -> Config:
    """The settings of an installation with an empty database of each kind."""
    (tmp_path / "instance").mkdir()
    if request.param == "SQLite":
        return Config(instance=tmp_path / "instance")
    postgres_server: Postgres = request.getfixturevalue("postgres_server")
    return Config(instance=tmp_path / "instance", database_url=postgres_server.database())


@pytest.fixture
def sqlite(tmp_path: Path) -> Config:
    """The settings of an installation with an empty SQLite database."""
    (tmp_path / "instance").mkdir()
    return Config(instance=tmp_path / "instance")


@contextmanager
def running(config: Config) -> Iterator[Flask]:
    """Open the context of an app that has migrated its database."""
    app = create_app(config)
    with app.app_context():
        try:
            yield app
        finally:
            db.engine.dispose()


def fill(revision: str) -> None:
    """Upgrade an empty database to a revision; insert two rooms with two messages each.

    The second message has a reaction, if the revision has reactions.
    """
    upgrade(directory=str(MIGRATIONS), revision=revision)
    with write_transaction() as transaction:
        for room_id, label in ((1, "kitchen"), (5, "garden")):
            transaction.execute(INSERT_ROOM, {"id": room_id, "label": label})
            for seq in (1, 2):
                parameters = {"id": room_id, "seq": seq, "client_id": f"a-random-id-of-{seq}"}
                transaction.execute(INSERT_MESSAGE, parameters)
        if revision != "0001":
            transaction.execute(ADD_REACTION)


def stored(*, without: tuple[str, ...] = ()) -> list[JSON]:
    """Return the rows of all rooms and messages, without these columns and those of moderation."""
    found: list[JSON] = []
    with read_transaction() as connection:
        for statement in (
            "SELECT * FROM rooms ORDER BY id",
            "SELECT * FROM messages ORDER BY room_id, seq",
        ):
            found += [dict(row) for row in connection.execute(text(statement)).mappings()]
    left_out = {*without, *COLUMNS_OF_MODERATION}
    return [{key: value for key, value in row.items() if key not in left_out} for row in found]


def compatible_from() -> str | None:
    """Return the oldest revision whose program may use the database."""
    statement = text("SELECT value FROM instance WHERE key = 'compatible_from'")
    with read_transaction() as connection:
        found: str | None = connection.scalar(statement)
        return found


def revision() -> str | None:
    """Return the revision of the database."""
    with read_transaction() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def schema(connection: Connection) -> set[str]:
    """Return the CREATE statements of an SQLite database, without quotes and extra spaces."""
    statements = connection.scalars(
        text("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name != 'sqlite_sequence'")
    )
    return {re.sub(r"\s+", " ", statement.replace('"', "")) for statement in statements}


@pytest.mark.parametrize("start", ["0001", "0002"])
def test_an_upgrade_keeps_every_room_message_and_reaction(config: Config, start: str) -> None:
    has_reactions = start != "0001"
    without = () if has_reactions else ("reactions",)
    with schema_tools(config):
        fill(start)
        before = stored()

    with running(config):
        assert stored(without=without) == before
        assert revision() == HEAD
        messages = Room.find("garden").changes(0, 10).messages
        assert [message.message for message in messages] == ["hello", "hello"]
        reactions = {"👍": ["ben"]} if has_reactions else None
        assert [message.reactions for message in messages] == [None, reactions]


@pytest.mark.parametrize("start", ["0001", "0003"])
def test_an_upgrade_erases_handle_and_author_of_deleted_messages(
    config: Config, start: str
) -> None:
    delete = text(
        "UPDATE messages SET message = '', deleted_at = timestamp, rev = 3"
        " WHERE room_id = 1 AND seq = 2"
    )
    with schema_tools(config):
        fill(start)
        with write_transaction() as transaction:
            transaction.execute(delete)
        before = stored(without=("handle", "author", "reactions"))

    with running(config):
        assert stored(without=("handle", "author", "reactions")) == before
        people = [(row["handle"], row["author"]) for row in stored() if "seq" in row]
        assert people == [("Ada", "ada"), ("", ""), ("Ada", "ada"), ("Ada", "ada")]
        tombstone = Room.find("kitchen").changes(2, 10).messages[0]
        assert wire.message(Room.find("kitchen"), tombstone)["mark"] == ""


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


def test_an_upgrade_after_a_downgrade_to_nothing_gives_an_empty_database(config: Config) -> None:
    with schema_tools(config):
        fill("0002")
        upgrade(directory=str(MIGRATIONS))
        downgrade(directory=str(MIGRATIONS), revision="base")
    with running(config):
        assert stored() == []
        assert revision() == HEAD


def test_an_upgraded_schema_equals_the_models(config: Config) -> None:
    with schema_tools(config):
        fill("0001")
    with running(config), read_transaction() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, db.metadata) == []


def test_sqlite_gets_the_same_schema_from_models_from_upgrades_and_after_a_downgrade(
    sqlite: Config, tmp_path: Path
) -> None:
    model_engine = create_engine("sqlite://")
    with model_engine.begin() as connection:
        db.metadata.create_all(connection)
        from_models = schema(connection)
    model_engine.dispose()
    new_installation = Config(instance=tmp_path / "fresh")
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

    with running(new_installation), read_transaction() as connection:
        assert schema(connection) == upgraded
    without_alembic = {sql for sql in upgraded if "alembic_version" not in sql}
    assert without_alembic == from_models
    assert any("AUTOINCREMENT" in sql for sql in upgraded)


def test_new_rooms_get_ids_above_all_that_were_ever_used(config: Config) -> None:
    with schema_tools(config):
        fill("0002")
        if config.database_url is not None:
            # `fill` sets the ids itself, so the sequence has not counted them.
            with write_transaction() as transaction:
                transaction.execute(text("SELECT setval('rooms_id_seq', 5)"))
    with running(config):
        with write_transaction() as transaction:
            transaction.execute(text("DELETE FROM messages WHERE room_id = 5"))
            transaction.execute(text("DELETE FROM rooms WHERE id = 5"))

        party = journal.get_or_create_room("party")

        assert party.id == 6
        assert party.changes(0, 10).messages == []


def test_messages_of_a_room_deleted_in_the_sqlite_shell_never_appear_in_a_new_room(
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


def test_a_migration_that_leaves_messages_without_a_room_is_rolled_back(
    sqlite: Config, tmp_path: Path
) -> None:
    newer = newer_migrations(tmp_path, upgrade="op.execute('DELETE FROM rooms WHERE id = 5')")
    with schema_tools(sqlite):
        fill("0002")
        before = stored()

        with pytest.raises(StartupError, match="3") as error:
            upgrade(directory=newer)

        assert "messages without a room" in error.value.sentence
        assert stored() == before
        assert revision() == "0002"
        with pytest.raises(IntegrityError), write_transaction() as transaction:
            transaction.execute(text("DELETE FROM rooms WHERE id = 5"))


def test_a_migration_that_fails_is_rolled_back(config: Config, tmp_path: Path) -> None:
    newer = newer_migrations(tmp_path, upgrade="op.drop_table('messages'); 1 / 0")
    with schema_tools(config):
        fill("0002")
        before = stored()

        with pytest.raises(ZeroDivisionError):
            upgrade(directory=newer)

        assert stored() == before
        assert revision() == "0002"


@contextmanager
def open_connections() -> Iterator[list[object]]:
    """Yield the connections that are opened in the context and not closed yet."""
    opened: list[object] = []

    def on_connect(connection: object, _record: object) -> None:
        opened.append(connection)

    def on_close(connection: object, _record: object) -> None:
        opened.remove(connection)

    event.listen(Pool, "connect", on_connect)
    event.listen(Pool, "close", on_close)
    try:
        yield opened
    finally:
        event.remove(Pool, "connect", on_connect)
        event.remove(Pool, "close", on_close)


def test_a_start_while_another_connection_holds_a_lock_raises_a_startup_error(
    config: Config, monkeypatch: Patch
) -> None:
    monkeypatch.setattr(database, "LOCK_WAIT_SECONDS", 0.1)
    monkeypatch.setattr(migrations, "START_WAIT_SECONDS", 0.1)
    with schema_tools(config):
        fill("0002")
        before = stored()
        with write_transaction() as other, open_connections() as opened:
            other.execute(text("SELECT 1 FROM messages"))  # SQLite is locked without it
            with pytest.raises(StartupError) as error:
                create_app(config)
            assert opened == [], "no connection of the app stays open"
        assert stored() == before
        assert revision() == "0002"

    sentence = error.value.sentence
    is_sqlite = config.database_url is None
    assert "another connection holds a lock" in sentence
    assert ("database is locked" if is_sqlite else "lock timeout") in sentence
    assert is_sqlite or "ALTER TABLE messages" in sentence
    assert "DATABASE_URL" not in sentence
    with running(config):
        assert revision() == HEAD, "it starts after the lock has been released"


@pytest.mark.parametrize("name", REVISIONS_WITH_INSTANCE)
def test_every_migration_names_the_oldest_revision_whose_program_may_use_the_schema(
    name: str,
) -> None:
    script = SCRIPTS[name]
    previous = SCRIPTS[str(script.down_revision)]
    earliest = getattr(previous.module, "compatible_from", REVISIONS[0])

    named = REVISIONS.index(script.module.compatible_from)

    assert re.search(r"^compatible_from = ", Path(script.path).read_text(), re.MULTILINE)
    assert REVISIONS.index(earliest) <= named <= REVISIONS.index(name)


@pytest.mark.parametrize("name", REVISIONS_WITH_INSTANCE)
def test_the_database_records_the_compatible_revision_of_its_migration(
    config: Config, name: str
) -> None:
    with schema_tools(config):
        upgrade(directory=str(MIGRATIONS), revision=name)

        assert compatible_from() == SCRIPTS[name].module.compatible_from


def test_a_downgrade_restores_the_compatible_revision(config: Config, tmp_path: Path) -> None:
    newer = newer_migrations(tmp_path, compatible_from=NEWER)
    with schema_tools(config):
        upgrade(directory=newer)
        assert compatible_from() == NEWER

        downgrade(directory=newer, revision=HEAD)

        assert compatible_from() == SCRIPTS[HEAD].module.compatible_from

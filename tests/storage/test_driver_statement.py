"""Statements that the driver executes give the same values as those that SQLAlchemy executes."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import bindparam, insert, select, update

from chat.models import LOCKED_COLUMNS, rooms
from chat.storage.database import write_transaction
from chat.storage.driver_statement import DriverStatement, ListParameter, is_in, list_names
from config import Config
from tests.services import Postgres

NOW = datetime(2026, 1, 2, 3, 4, 5, 678_000, UTC)
DEFAULTS: dict[str, Any] = {
    "name": "",
    "head": 0,
    "floor": 0,
    "names_version": 0,
    "is_private": False,
    "only_hosts_name": False,
    "has_sanctions": False,
    "slow_mode_seconds": 0,
    "password_hash": "",
}
PLAIN: dict[str, Any] = DEFAULTS | {
    "label": "plain",
    "epoch": "first",
    "created_at": NOW,
    "is_locked": False,
    "closed_at": None,
    "roles": None,
}
SPECIAL: dict[str, Any] = DEFAULTS | {
    "label": "special",
    "epoch": "it's",
    "created_at": NOW,
    "is_locked": True,
    "closed_at": NOW,
    "roles": {"0123456789abcdef": "host"},
}
INSERT = DriverStatement(insert(rooms), list(PLAIN))
SELECT = DriverStatement(
    select(*LOCKED_COLUMNS).where(rooms.c.epoch != bindparam("epoch")).order_by(rooms.c.label),
    ["epoch"],
)
UPDATE = DriverStatement(
    update(rooms).where(rooms.c.label == bindparam("where")).values(name=bindparam("new")),
    ["where", "new"],
)


@pytest.fixture(params=["SQLite", pytest.param("PostgreSQL", marks=pytest.mark.servers)])
def context(
    request: pytest.FixtureRequest, make_app: Callable[[Config], Flask], tmp_path: Path
) -> Iterator[None]:
    """The context of an app with an empty database of each kind."""
    url = None
    if request.param == "PostgreSQL":
        postgres_server: Postgres = request.getfixturevalue("postgres_server")
        url = postgres_server.database()
    app = make_app(Config(instance=tmp_path / "instance", database_url=url))
    with app.app_context():
        yield


@pytest.mark.usefixtures("context")
@pytest.mark.parametrize("rows", [[PLAIN], [SPECIAL], [PLAIN, SPECIAL]])
def test_values_of_every_type_survive(rows: list[dict[str, Any]]) -> None:
    with write_transaction() as connection:
        INSERT.execute_many(connection, rows)
        stored = SELECT.rows(connection, {"epoch": "another"})
        expected = connection.execute(select(*LOCKED_COLUMNS).order_by(rooms.c.label)).all()

    assert [tuple(row) for row in stored] == [tuple(row) for row in expected]
    names = [column.name for column in LOCKED_COLUMNS]
    for given, row in zip(rows, stored, strict=True):
        by_name = dict(zip(names, row, strict=True))
        for name in ("label", "epoch", "is_locked", "closed_at", "roles"):
            assert by_name[name] == given[name]
            assert type(by_name[name]) is type(given[name])


@pytest.mark.usefixtures("context")
def test_an_update_changes_the_rows_that_it_names() -> None:
    with write_transaction() as connection:
        INSERT.execute_many(connection, [PLAIN, SPECIAL])
        UPDATE.execute_many(connection, [{"where": "plain", "new": "50 %"}])
        UPDATE.execute_many(
            connection, [{"where": "plain", "new": "a"}, {"where": "special", "new": "b"}]
        )
        names = connection.scalars(select(rooms.c.name).order_by(rooms.c.label)).all()

    assert list(names) == ["a", "b"]


@pytest.mark.parametrize(("value_count", "name_count"), [(1, 1), (2, 2), (3, 4), (5, 8)])
def test_a_list_has_few_sizes(value_count: int, name_count: int) -> None:
    values = [f"room-{number}" for number in range(value_count)]

    labels = ListParameter("label", values)

    assert labels.names == list_names("label", name_count)
    assert set(labels.values.values()) == set(values)


@pytest.mark.usefixtures("context")
def test_a_list_selects_the_rows_with_its_values() -> None:
    labels = ListParameter("label", ["plain", "special", "none"])
    condition = is_in(rooms.c.label, labels.names)
    statement = DriverStatement(
        select(rooms.c.label).where(condition).order_by(rooms.c.label), labels.names
    )
    others = [PLAIN, SPECIAL, PLAIN | {"label": "other"}]
    with write_transaction() as connection:
        INSERT.execute_many(connection, others)
        selected = statement.rows(connection, labels.values)

    assert [label for (label,) in selected] == ["plain", "special"]

"""`flask confab rooms` and `flask confab room`, and what all commands share."""

import threading
from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from chat.models import Room
from chat.moderation.tables import banned_addresses, known_names, last_posts
from chat.services import services_of
from chat.storage.database import Base, read_transaction, write_transaction
from chat.storage.reports import create_report
from chat.storage.room_deletion import delete_room
from tests.cli.conftest import Confab
from tests.conftest import JSON, Client, Patch, create_room
from tests.moderation.conftest import Salon

Run = Callable[..., Any]


def test_without_a_command_all_are_listed(confab: Confab) -> None:
    result = confab()

    assert result.exit_code == 0
    assert "rooms" in result.stdout
    assert "List the rooms" in result.stdout


def test_rooms_are_listed_with_their_messages_and_people(
    confab_json: Run, ada: Client, ben: Client, cy: Client
) -> None:
    ada.post("hello")
    ben.post("hi", handle="Ben")
    ben.post("how are you?", handle="Ben")
    ada.ask("delete", {"seq": 1})

    kitchen, garden = confab_json("rooms")

    assert kitchen["label"] == "kitchen"
    assert (kitchen["messages"], kitchen["people"]) == (2, 1)
    assert kitchen["last_message_at"] > kitchen["created_at"]
    assert garden["label"] == "garden"
    assert (garden["messages"], garden["people"]) == (0, 0)
    assert garden["last_message_at"] is None


def test_rooms_are_found_by_a_part_of_their_label_or_name(
    confab_json: Run, ada: Client, cy: Client
) -> None:
    ada.ask("title", {"name": "100% Tea"})

    assert [room["label"] for room in confab_json("rooms", "--search", "tea")] == ["kitchen"]
    assert [room["label"] for room in confab_json("rooms", "--search", "GARD")] == ["garden"]
    assert confab_json("rooms", "--search", "%T") == []
    assert len(confab_json("rooms", "--limit", "1")) == 1


def test_a_table_of_rooms_cannot_control_the_terminal(confab: Confab, ada: Client) -> None:
    ada.ask("title", {"name": "Tea\u2066"})

    result = confab("rooms")

    assert result.exit_code == 0
    assert "kitchen" in result.stdout
    assert all(line.isprintable() for line in result.stdout.splitlines())


def test_a_room_is_shown_with_its_hosts(confab_json: Run, confab: Confab, ada: Client) -> None:
    ada.ask("moderate", {"action": "become_host"})
    ada.post("hello")

    shown = confab_json("room", "show", "kitchen")

    assert shown["head"] == 2
    assert [(role["handle"], role["role"]) for role in shown["roles"]] == [("Ada", "host")]
    assert shown["sanctions"] == []
    assert "Ada (host)" in confab("room", "show", "kitchen").stdout


def test_an_unknown_room_is_an_error(confab: Confab) -> None:
    result = confab("room", "show", "attic")

    assert result.exit_code == 1
    assert result.stderr == "Error: There is no room with the label attic.\n"
    assert result.stdout == ""


def test_the_operator_clears_a_room(confab_json: Run, ada: Client, ben: Client, cy: Client) -> None:
    ada.post("hello")
    ben.received()

    cleared = confab_json("room", "clear", "kitchen", "--yes")

    [message] = ben.received("chat")
    assert message["message"] == "The operator cleared the history"
    assert message["rev"] == cleared["rev"] == 2
    assert cy.received() == []
    assert confab_json("room", "show", "kitchen")["messages"] == 0
    assert [each["seq"] for each in ada.join("kitchen")["messages"]] == [2]


def test_the_operator_closes_a_room(
    confab_json: Run, confab: Confab, salon: Salon, cy: Client
) -> None:
    confab_json("room", "close", "salon", "--yes")

    salon.wait_until_disconnected(salon.ben)
    assert cy.received() == []
    assert cy.join("salon")["code"] == "closed"
    assert [room["label"] for room in confab_json("rooms", "--closed")] == ["salon"]
    again = confab("room", "close", "salon", "--yes")
    assert (again.exit_code, again.stderr) == (1, "Error: The room salon is closed.\n")


def test_the_operator_deletes_a_room_with_everything_that_belongs_to_it(
    app: Flask, confab_json: Run, salon: Salon, cy: Client, monkeypatch: Patch
) -> None:
    # This process is the only worker. (`chat.cli.rooms` is a command, and the module of that name.)
    monkeypatch.setattr(import_module("chat.cli.rooms"), "DELIVERY_SECONDS", 0)
    fill_all_tables(app, salon)
    people = (salon.hana, salon.ada)

    deleted = confab_json("room", "delete", "salon", "--yes")

    assert deleted == {"label": "salon", "messages": 3}
    assert rows_by_table(app) == {"rooms": 1}  # Cy's
    for client in people:
        salon.wait_until_disconnected(client)
    assert cy.received("chat") == []
    assert cy.join("salon")["code"] == "not_found"
    assert create_room(app, "salon") == "salon"
    assert cy.join("salon")["head"] == 0


def test_people_in_a_room_that_is_deleted_in_the_database_are_disconnected(
    app: Flask, ada: Client, cy: Client
) -> None:
    with app.app_context():
        delete_room(Room.find("kitchen"))

    services_of(app).reconciler.poll()

    assert not ada.is_connected
    assert cy.is_connected


@pytest.mark.parametrize("command", ["close", "clear", "delete"])
def test_nothing_is_destroyed_when_nobody_can_be_asked(
    confab: Confab, confab_json: Run, ada: Client, ben: Client, command: str
) -> None:
    ada.post("hello")
    ben.received()

    result = confab("room", command, "kitchen")

    assert result.exit_code == 1
    assert "--yes" in result.stderr
    assert ben.received() == []
    assert confab_json("room", "show", "kitchen")["messages"] == 1


def test_a_command_starts_no_background_work(confab_json: Run, kitchen: str) -> None:
    before = set(threading.enumerate())  # threads of earlier tests may end meanwhile

    confab_json("room", "clear", kitchen, "--yes")

    assert set(threading.enumerate()) <= before


def test_a_command_does_not_let_its_process_rewrite_the_database(
    app: Flask, confab_json: Run, ada: Client
) -> None:
    ada.post("hello")
    services_of(app).journal.has_erased_text = True

    confab_json("room", "clear", "kitchen", "--yes")

    assert not services_of(app).journal.has_erased_text


def fill_all_tables(app: Flask, salon: Salon) -> None:
    """Let every table that refers to rooms have rows of the salon."""
    assert salon.moderate("host_link")["ok"]
    assert salon.moderate("ban", target=salon.ben_mark, address=True)["ok"]
    salon.wait_until_disconnected(salon.ben)
    with app.app_context():
        room = Room.find("salon")
        create_report(room, salon.ada_mark, "rude", None, to_operator=True)
        rows: dict[sa.Table, JSON] = {
            banned_addresses: {"address_hash": "a", "mark": "b", "created_at": room.created_at},
            known_names: {
                "mark": "b",
                "handle": "Ben",
                "skeleton": "ben",
                "held_until": room.created_at,
            },
            last_posts: {"mark": "b", "posted_at": room.created_at},
        }
        with write_transaction() as connection:
            for table, row in rows.items():
                connection.execute(sa.insert(table), row | {"room_id": room.id})
    filled = {table.name for table in Base.metadata.tables.values() if "room_id" in table.c}
    assert filled <= rows_by_table(app).keys()


def rows_by_table(app: Flask) -> dict[str, int]:
    """Return the numbers of rows of the tables that have any, except that of the schema."""
    with app.app_context(), read_transaction() as connection:
        tables = Base.metadata.sorted_tables
        counts = {
            table.name: connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0
            for table in tables
        }
    counts.pop("instance")
    return {name: count for name, count in counts.items() if count}

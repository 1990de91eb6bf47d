"""Rooms that the operator deletes: their members neither read nor write in another room, whatever its id or label."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import delete, select

from chat import create_app
from chat.models import Room, messages, rooms
from chat.services import services_of
from chat.storage.commands import Command, PostMessage
from chat.storage.database import db, read_transaction, write_transaction
from config import Config
from tests.conftest import JSON, Client, create_room, in_room
from tests.services import Postgres

Open = Callable[..., Client]

WRITES: list[tuple[str, JSON]] = [
    ("chat", {"handle": "Ada", "message": "for the kitchen only"}),
    ("edit", {"seq": 1, "message": "for the kitchen only"}),
    ("delete", {"seq": 1}),
    ("react", {"seq": 1, "emoji": "👍", "on": True}),
    ("rename", {"handle": "Countess"}),
    ("title", {"name": "The kitchen"}),
]
READS: list[tuple[str, JSON]] = [
    ("since", {"after": 0}),
    ("history", {}),
    ("history", {"around": 1}),
]


@pytest.fixture(params=["SQLite", pytest.param("PostgreSQL", marks=pytest.mark.servers)])
def app(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Flask]:
    """Confab on an empty database of each kind."""
    url = None
    if request.param == "PostgreSQL":
        postgres_server: Postgres = request.getfixturevalue("postgres_server")
        url = postgres_server.database()
    made = create_app(Config(instance=tmp_path / "instance", database_url=url))
    yield made
    services_of(made).reconciler.stop()
    services_of(made).presence.stop()
    with made.app_context():
        db.engine.dispose()


def delete_room(app: Flask, label: str) -> int:
    """Delete a room and its messages behind the server's back; its id."""
    with app.app_context():
        room = Room.find(label)
        with write_transaction() as transaction:
            transaction.execute(delete(messages).where(messages.c.room_id == room.id))
            transaction.execute(delete(rooms).where(rooms.c.id == room.id))
    return room.id


def give_id_to_another_room(app: Flask, label: str, other: str) -> None:
    """Delete a room, then make another with its id, as a restored backup may; older databases did so by themselves."""
    with app.app_context():
        room_id = delete_room(app, label)
        create_room(app, other)
        with write_transaction() as transaction:
            transaction.execute(rooms.update().where(rooms.c.label == other).values(id=room_id))


def stored(app: Flask, label: str) -> list[JSON]:
    """The room and its messages, as the database has them."""
    with app.app_context(), read_transaction() as connection:
        room = connection.execute(select(rooms).where(rooms.c.label == label)).mappings().one()
        found = (
            connection.execute(select(messages).where(messages.c.room_id == room["id"]))
            .mappings()
            .all()
        )
        return [dict(room), *map(dict, found)]


@pytest.fixture
def party(app: Flask, ada: Client, ben: Client) -> str:
    """A new room with the id of the kitchen, which is gone while Ada and Ben are in it."""
    ada.post("hello")
    give_id_to_another_room(app, "kitchen", "party")
    return "party"


@pytest.mark.parametrize(("event", "asked"), WRITES, ids=[event for event, _ in WRITES])
def test_a_member_of_a_deleted_room_changes_nothing_in_the_room_that_has_its_id(
    app: Flask, open_client: Open, kitchen: str, event: str, asked: JSON
) -> None:
    browser = app.test_client()
    browser.get(f"/{kitchen}/")
    ada = in_room(open_client(browser), kitchen)
    ada.post("hello")
    give_id_to_another_room(app, kitchen, "party")
    in_room(open_client(browser), "party").post(
        "mine too, so nothing but the room can refuse a change of it"
    )
    cy = in_room(open_client(), "party")
    before = stored(app, "party")
    ada.received()

    answer = ada.ask(event, asked)

    assert answer["code"] == "not_found"
    assert stored(app, "party") == before
    assert cy.received() == ada.received() == []


@pytest.mark.parametrize(("event", "asked"), READS)
def test_a_member_of_a_deleted_room_reads_nothing_of_the_room_that_has_its_id(
    ada: Client, open_client: Open, party: str, event: str, asked: JSON
) -> None:
    in_room(open_client(), party).post("for the party only")

    assert ada.ask(event, asked)["code"] == "not_found"


def test_nobody_enters_another_room_through_the_link_of_a_deleted_one(
    open_client: Open, party: str
) -> None:
    in_room(open_client(), party).post("for the party only")

    assert open_client().join("kitchen")["code"] == "not_found"


def test_the_room_that_has_the_id_stores_what_its_own_members_say_in_the_same_batch(
    app: Flask, party: str
) -> None:
    with app.app_context():
        there = Room.find(party)
        gone = Room(id=there.id, label="kitchen")
        batch: list[Command] = [
            PostMessage(gone, "ada", "Ada", "hello"),
            PostMessage(there, "cy", "Cy", "hello"),
            PostMessage(gone, "ada", "Ada", "hello"),
        ]

        services_of(app).journal.store_and_publish(batch)

    assert [change.failure is None for change in batch] == [False, True, False]
    assert [row["author"] for row in stored(app, party)[1:]] == ["cy"]


def test_another_epoch_is_no_reason_to_refuse(ada: Client, ben: Client, app: Flask) -> None:
    with app.app_context(), write_transaction() as transaction:
        transaction.execute(rooms.update().values(epoch="restored"))

    assert ada.post("still here")["ok"]
    assert [said["message"] for said in ben.received("chat")] == ["still here"]


def test_the_id_of_a_deleted_room_is_never_given_to_another(app: Flask, kitchen: str) -> None:
    create_room(app, "garage")
    highest = delete_room(app, "garage")

    create_room(app, "party")

    assert stored(app, "party")[0]["id"] > highest


def test_ids_are_not_reused_after_the_last_room_is_deleted(app: Flask, kitchen: str) -> None:
    highest = delete_room(app, kitchen)

    create_room(app, kitchen)

    assert stored(app, kitchen)[0]["id"] > highest


def test_a_room_made_again_can_be_entered_at_once(ada: Client, ben: Client, app: Flask) -> None:
    ada.post("hello")
    delete_room(app, "kitchen")
    create_room(app, "kitchen")

    answer = ben.join("kitchen")

    assert (answer["ok"], answer["head"], answer["messages"]) == (True, 0, [])
    assert ben.post("is anybody here?")["seq"] == 1
    assert ada.post("not in yours")["code"] == "not_found"


def test_members_of_a_room_made_again_learn_of_it_by_its_epoch_and_enter_it(
    ada: Client, ben: Client, app: Flask
) -> None:
    before = ada.join("kitchen")["epoch"]
    for number in range(3):
        ada.post(f"message {number}")
    delete_room(app, "kitchen")
    create_room(app, "kitchen")
    ada.received()

    services_of(app).reconciler.poll()

    [head] = ada.received("head")
    assert (head["label"], head["head"]) == ("kitchen", 0)
    assert head["epoch"] != before
    assert ada.ask("since", {"after": 3})["code"] == "not_found"
    assert ada.join("kitchen")["epoch"] == head["epoch"]
    ben.join("kitchen")
    ben.post("hello again")
    assert [said["message"] for said in ada.received("chat")] == ["hello again"]

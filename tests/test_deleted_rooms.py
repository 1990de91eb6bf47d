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
from tests.conftest import JSON, Tab, in_room, make_room
from tests.services import Postgres

Open = Callable[..., Tab]

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
        elephant: Postgres = request.getfixturevalue("elephant")
        url = elephant.database()
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
        make_room(app, other)
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
def party(app: Flask, ada: Tab, ben: Tab) -> str:
    """A new room with the id of the kitchen, which is gone while Ada and Ben are in it."""
    ada.say("hello")
    give_id_to_another_room(app, "kitchen", "party")
    return "party"


@pytest.mark.parametrize(("event", "asked"), WRITES, ids=[event for event, _ in WRITES])
def test_a_member_of_a_deleted_room_changes_nothing_in_the_room_that_has_its_id(
    app: Flask, tab: Open, kitchen: str, event: str, asked: JSON
) -> None:
    browser = app.test_client()
    browser.get(f"/{kitchen}/")
    ada = in_room(tab(browser), kitchen)
    ada.say("hello")
    give_id_to_another_room(app, kitchen, "party")
    in_room(tab(browser), "party").say(
        "mine too, so nothing but the room can refuse a change of it"
    )
    cy = in_room(tab(), "party")
    before = stored(app, "party")
    ada.heard()

    answer = ada.ask(event, asked)

    assert answer["code"] == "not_found"
    assert stored(app, "party") == before
    assert cy.heard() == ada.heard() == []


@pytest.mark.parametrize(("event", "asked"), READS)
def test_a_member_of_a_deleted_room_reads_nothing_of_the_room_that_has_its_id(
    ada: Tab, tab: Open, party: str, event: str, asked: JSON
) -> None:
    in_room(tab(), party).say("for the party only")

    assert ada.ask(event, asked)["code"] == "not_found"


def test_nobody_enters_another_room_through_the_link_of_a_deleted_one(
    tab: Open, party: str
) -> None:
    in_room(tab(), party).say("for the party only")

    assert tab().join("kitchen")["code"] == "not_found"


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


def test_another_epoch_is_no_reason_to_refuse(ada: Tab, ben: Tab, app: Flask) -> None:
    with app.app_context(), write_transaction() as transaction:
        transaction.execute(rooms.update().values(epoch="restored"))

    assert ada.say("still here")["ok"]
    assert [said["message"] for said in ben.heard("chat")] == ["still here"]


def test_the_id_of_a_deleted_room_is_never_given_to_another(app: Flask, kitchen: str) -> None:
    make_room(app, "garage")
    highest = delete_room(app, "garage")

    make_room(app, "party")

    assert stored(app, "party")[0]["id"] > highest


def test_ids_are_not_reused_after_the_last_room_is_deleted(app: Flask, kitchen: str) -> None:
    highest = delete_room(app, kitchen)

    make_room(app, kitchen)

    assert stored(app, kitchen)[0]["id"] > highest


def test_a_room_made_again_can_be_entered_at_once(ada: Tab, ben: Tab, app: Flask) -> None:
    ada.say("hello")
    delete_room(app, "kitchen")
    make_room(app, "kitchen")

    answer = ben.join("kitchen")

    assert (answer["ok"], answer["head"], answer["messages"]) == (True, 0, [])
    assert ben.say("is anybody here?")["seq"] == 1
    assert ada.say("not in yours")["code"] == "not_found"


def test_members_of_a_room_made_again_learn_of_it_by_its_epoch_and_enter_it(
    ada: Tab, ben: Tab, app: Flask
) -> None:
    before = ada.join("kitchen")["epoch"]
    for number in range(3):
        ada.say(f"message {number}")
    delete_room(app, "kitchen")
    make_room(app, "kitchen")
    ada.heard()

    services_of(app).reconciler.poll()

    [head] = ada.heard("head")
    assert (head["label"], head["head"]) == ("kitchen", 0)
    assert head["epoch"] != before
    assert ada.ask("since", {"after": 3})["code"] == "not_found"
    assert ada.join("kitchen")["epoch"] == head["epoch"]
    ben.join("kitchen")
    ben.say("hello again")
    assert [said["message"] for said in ada.heard("chat")] == ["hello again"]

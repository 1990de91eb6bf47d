"""Rooms that the operator deletes: their members neither read nor write in any other room.

Another room may have the id of a deleted one (after restoring a backup), or its label.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import delete, select

from chat import create_app, shut_down
from chat.models import Room, messages, rooms
from chat.services import services_of
from chat.storage.commands import Command, PostMessage
from chat.storage.database import read_transaction, write_transaction
from config import Config
from tests.conftest import JSON, Client, create_room, in_room
from tests.services import Postgres

pytestmark = pytest.mark.usefixtures("without_polls")

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
    """Confab with an empty database of each kind."""
    url = None
    if request.param == "PostgreSQL":
        postgres_server: Postgres = request.getfixturevalue("postgres_server")
        url = postgres_server.database()
    created = create_app(Config(instance=tmp_path / "instance", database_url=url))
    yield created
    shut_down(created)


@pytest.fixture
def party(app: Flask, ada: Client, ben: Client) -> str:
    """A new room with the id of the kitchen, which was deleted while Ada and Ben were in it."""
    ada.post("hello")
    replace_room(app, "kitchen", "party")
    return "party"


def delete_room(app: Flask, label: str) -> int:
    """Delete a room and its messages from the database while the server runs; return its id."""
    with app.app_context():
        room = Room.find(label)
        with write_transaction() as transaction:
            transaction.execute(delete(messages).where(messages.c.room_id == room.id))
            transaction.execute(delete(rooms).where(rooms.c.id == room.id))
    return room.id


def replace_room(app: Flask, label: str, new_label: str) -> None:
    """Delete a room, then create another with its id, as a restored backup may have.

    Databases before migration 0003 reused the ids of deleted rooms.
    """
    with app.app_context():
        room_id = delete_room(app, label)
        create_room(app, new_label)
        with write_transaction() as transaction:
            transaction.execute(rooms.update().where(rooms.c.label == new_label).values(id=room_id))


def stored(app: Flask, label: str) -> list[JSON]:
    """Return the row of a room and the rows of its messages."""
    with app.app_context(), read_transaction() as connection:
        room = connection.execute(select(rooms).where(rooms.c.label == label)).mappings().one()
        of_room = select(messages).where(messages.c.room_id == room["id"])
        found = connection.execute(of_room).mappings().all()
        return [dict(room), *(dict(row) for row in found)]


@pytest.mark.parametrize(("event", "payload"), WRITES, ids=[event for event, _ in WRITES])
def test_a_member_of_a_deleted_room_cannot_write_in_the_room_that_has_its_id(
    app: Flask, open_client: Open, kitchen: str, event: str, payload: JSON
) -> None:
    browser = app.test_client()
    browser.get(f"/{kitchen}/")
    ada = in_room(open_client(browser), kitchen)
    ada.post("hello")
    replace_room(app, kitchen, "party")
    # The message in the new room is Ada's, too: only the room can be the reason to refuse.
    in_room(open_client(browser), "party").post("hello party")
    cy = in_room(open_client(), "party")
    before = stored(app, "party")
    ada.received()

    answer = ada.ask(event, payload)

    assert answer["code"] == "not_found"
    assert stored(app, "party") == before
    assert cy.received() == []
    assert ada.received() == []


@pytest.mark.parametrize(("event", "payload"), READS)
def test_a_member_of_a_deleted_room_cannot_read_the_room_that_has_its_id(
    ada: Client, open_client: Open, party: str, event: str, payload: JSON
) -> None:
    in_room(open_client(), party).post("for the party only")

    assert ada.ask(event, payload)["code"] == "not_found"


def test_the_label_of_a_deleted_room_does_not_lead_to_the_room_that_has_its_id(
    open_client: Open, party: str
) -> None:
    in_room(open_client(), party).post("for the party only")

    assert open_client().join("kitchen")["code"] == "not_found"


def test_commands_for_a_deleted_room_do_not_affect_the_others_in_their_batch(
    app: Flask, party: str
) -> None:
    with app.app_context():
        existing = Room.find(party)
        deleted = Room(id=existing.id, label="kitchen")
        batch: list[Command] = [
            PostMessage(deleted, "ada", "Ada", "hello"),
            PostMessage(existing, "cy", "Cy", "hello"),
            PostMessage(deleted, "ada", "Ada", "hello"),
        ]

        services_of(app).journal.store_and_publish(batch)

    assert [command.failure is None for command in batch] == [False, True, False]
    assert [row["author"] for row in stored(app, party)[1:]] == ["cy"]


def test_members_can_post_after_the_epoch_of_their_room_changed(
    ada: Client, ben: Client, app: Flask
) -> None:
    with app.app_context(), write_transaction() as transaction:
        transaction.execute(rooms.update().values(epoch="restored"))

    assert ada.post("still here")["ok"]
    assert [message["message"] for message in ben.received("chat")] == ["still here"]


def test_the_id_of_a_deleted_room_is_not_reused(app: Flask, kitchen: str) -> None:
    create_room(app, "garage")
    highest_id = delete_room(app, "garage")

    create_room(app, "party")

    assert stored(app, "party")[0]["id"] > highest_id


def test_the_id_of_the_only_room_is_not_reused_after_its_deletion(app: Flask, kitchen: str) -> None:
    highest_id = delete_room(app, kitchen)

    create_room(app, kitchen)

    assert stored(app, kitchen)[0]["id"] > highest_id


def test_a_recreated_room_can_be_entered_at_once(ada: Client, ben: Client, app: Flask) -> None:
    ada.post("hello")
    delete_room(app, "kitchen")
    create_room(app, "kitchen")

    answer = ben.join("kitchen")

    assert answer["ok"]
    assert answer["head"] == 0
    assert answer["messages"] == []
    assert ben.post("is anybody here?")["seq"] == 1
    assert ada.post("not in yours")["code"] == "not_found"


def test_members_of_a_recreated_room_receive_its_epoch_and_can_enter_it(
    ada: Client, ben: Client, app: Flask
) -> None:
    epoch = ada.join("kitchen")["epoch"]
    for number in range(3):
        ada.post(f"message {number}")
    delete_room(app, "kitchen")
    create_room(app, "kitchen")
    ada.received()

    services_of(app).reconciler.poll()

    [head] = ada.received("head")
    assert head["label"] == "kitchen"
    assert head["head"] == 0
    assert head["epoch"] != epoch
    assert ada.ask("since", {"after": 3})["code"] == "not_found"
    assert ada.join("kitchen")["epoch"] == head["epoch"]
    ben.join("kitchen")
    ben.post("hello again")
    assert [said["message"] for said in ada.received("chat")] == ["hello again"]


def test_members_of_a_recreated_room_receive_its_first_message(
    ada: Client, ben: Client, open_client: Open, app: Flask
) -> None:
    for number in range(5):
        ada.post(f"message {number}")
    delete_room(app, "kitchen")
    create_room(app, "kitchen")
    newcomer = in_room(open_client(), "kitchen")
    in_room(ben, "kitchen")
    newcomer.received()

    ben.post("hello again")

    assert [message["message"] for message in newcomer.received("chat")] == ["hello again"]


def test_a_recreated_room_that_everybody_had_left_broadcasts_its_first_message(
    ada: Client, ben: Client, app: Flask
) -> None:
    for number in range(5):
        ada.post(f"message {number}")
    for client in (ada, ben):
        client.ask("leave", {})
    delete_room(app, "kitchen")
    create_room(app, "kitchen")
    for client in (ada, ben):
        in_room(client, "kitchen")
        client.received()

    ben.post("hello again")

    assert [message["message"] for message in ada.received("chat")] == ["hello again"]

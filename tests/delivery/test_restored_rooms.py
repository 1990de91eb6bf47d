"""A room whose history the operator restores from a backup while clients are in it."""

from collections.abc import Callable

import pytest
from flask import Flask

from chat.delivery import reconciler
from chat.models import Room, RoomRow, rooms
from chat.services import services_of
from chat.storage.database import write_transaction
from tests.conftest import Client, Patch, create_room, in_room
from tests.storage.test_deleted_rooms import delete_room

MESSAGES_BEFORE = 5


@pytest.fixture
def restored(app: Flask, ada: Client, ben: Client, kitchen: str) -> str:
    """The kitchen with five messages, then a new epoch, which the members have been told."""
    for number in range(MESSAGES_BEFORE):
        ada.post(f"message {number}")
    with app.app_context(), write_transaction() as transaction:
        of_kitchen = rooms.update().where(rooms.c.label == kitchen)
        transaction.execute(of_kitchen.values(epoch="restored"))
    services_of(app).reconciler.poll()
    for client in (ada, ben):
        assert [head["epoch"] for head in client.received("head")] == ["restored"]
    return kitchen


@pytest.mark.parametrize("polls", [0, 1, 2])
def test_a_member_that_joins_again_causes_no_repeated_messages(
    app: Flask, ada: Client, ben: Client, restored: str, polls: int
) -> None:
    answer = ada.join(restored)
    for _ in range(polls):
        services_of(app).reconciler.poll()
    ada.post("after the restore")

    assert answer["head"] == MESSAGES_BEFORE
    assert [message["message"] for message in ben.received("chat")] == ["after the restore"]


def test_a_newcomer_causes_no_repeated_messages(
    app: Flask, ada: Client, ben: Client, restored: str, open_client: Callable[..., Client]
) -> None:
    newcomer = in_room(open_client(), restored)
    services_of(app).reconciler.poll()
    ada.post("after the restore")

    for client in (ben, newcomer):
        assert [message["message"] for message in client.received("chat")] == ["after the restore"]


def call_after_reading(monkeypatch: Patch, action: Callable[[], None]) -> None:
    """Make the next poll call `action` between reading the rooms and working on them."""
    read = reconciler._find_rooms

    def read_then_act(labels: set[str]) -> list[RoomRow]:
        found = read(labels)
        monkeypatch.setattr(reconciler, "_find_rooms", read)
        action()
        return found

    monkeypatch.setattr(reconciler, "_find_rooms", read_then_act)


def test_a_poll_while_the_only_member_joins_again_causes_no_repeated_messages(
    app: Flask, ada: Client, ben: Client, kitchen: str, monkeypatch: Patch
) -> None:
    ben.ask("leave", {})
    for number in range(MESSAGES_BEFORE):
        ada.post(f"message {number}")
    ada.received()
    watching = services_of(app).reconciler
    track = watching.track

    def poll_then_track(room: Room) -> Room:
        watching.poll()
        return track(room)

    monkeypatch.setattr(watching, "track", poll_then_track)

    assert ada.join(kitchen)["head"] == MESSAGES_BEFORE
    watching.poll()

    assert ada.received("chat") == []


def test_a_newcomer_who_joins_during_a_poll_after_all_have_left_gets_no_old_messages(
    app: Flask, ada: Client, ben: Client, kitchen: str, cy: Client, monkeypatch: Patch
) -> None:
    for number in range(MESSAGES_BEFORE):
        ada.post(f"message {number}")
    still_used = services_of(app).reconciler.rooms[kitchen]
    ada.close()
    ben.close()
    call_after_reading(monkeypatch, lambda: assert_joins(cy, kitchen))

    for _ in range(2):
        services_of(app).reconciler.poll()

    assert still_used.label == kitchen
    assert cy.received("chat") == []


def test_a_poll_that_read_the_old_epoch_does_not_undo_the_new_one(
    app: Flask, ada: Client, kitchen: str, cy: Client, monkeypatch: Patch
) -> None:
    for number in range(MESSAGES_BEFORE):
        ada.post(f"message {number}")
    services_of(app).reconciler.poll()

    def recreate_and_join() -> None:
        delete_room(app, kitchen)
        create_room(app, kitchen)
        assert_joins(cy, kitchen)

    call_after_reading(monkeypatch, recreate_and_join)
    services_of(app).reconciler.poll()
    cy.received()

    cy.post("the first message")

    assert [message["message"] for message in cy.received("chat")] == ["the first message"]


def assert_joins(client: Client, label: str) -> None:
    assert client.join(label)["ok"]


def test_the_members_are_told_the_new_epoch_once(
    app: Flask, ada: Client, ben: Client, restored: str
) -> None:
    ada.join(restored)
    services_of(app).reconciler.poll()

    assert ben.received("head") == []

"""A room whose history the operator restores from a backup while clients are in it."""

from collections.abc import Callable

import pytest
from flask import Flask

from chat.models import rooms
from chat.services import services_of
from chat.storage.database import write_transaction
from tests.conftest import Client, in_room

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


def test_the_members_are_told_the_new_epoch_once(
    app: Flask, ada: Client, ben: Client, restored: str
) -> None:
    ada.join(restored)
    services_of(app).reconciler.poll()

    assert ben.received("head") == []

"""A room that has hosts keeps one, whatever they do to each other."""

from collections.abc import Callable

import pytest
from flask import Flask
from sqlalchemy import update

from chat.errors import Forbidden, NotFound
from chat.models import Room, rooms
from chat.moderation.rules import Role, SanctionKind
from chat.services import services_of
from chat.storage.commands import Command
from chat.storage.database import write_transaction
from chat.storage.moderation_commands import Dismiss, HandOver, Impose, Target
from tests.conftest import create_room
from tests.moderation.conftest import Salon

HANA = "a" * 32
HUGO = "b" * 32


def dismiss(room: Room, author: str, target: Target) -> Command:
    return Dismiss(room, author, "", target_person=target)


def hand_over(room: Room, author: str, target: Target) -> Command:
    return HandOver(room, author, "", target_person=target)


def ban(room: Room, author: str, target: Target) -> Command:
    return Impose(room, author, "", target_person=target, kind=SanctionKind.BAN)


@pytest.fixture
def room(app: Flask) -> Room:
    """A room with two hosts, Hana and Hugo."""
    label = create_room(app, "salon")
    with app.app_context():
        room = Room.find(label)
        roles = {room.mark(each): Role.HOST.value for each in (HANA, HUGO)}
        with write_transaction() as connection:
            connection.execute(update(rooms).values(roles=roles))
        return Room.find(label)


@pytest.mark.parametrize("first", [dismiss, ban])
@pytest.mark.parametrize("second", [dismiss, hand_over, ban])
def test_two_hosts_who_act_on_each_other_at_the_same_time_leave_one(
    app: Flask,
    room: Room,
    first: Callable[[Room, str, Target], Command],
    second: Callable[[Room, str, Target], Command],
) -> None:
    with app.app_context():
        commands = [
            first(room, HANA, Target(room.mark(HUGO), "Hugo")),
            second(room, HUGO, Target(room.mark(HANA), "Hana")),
        ]
        services_of(app).journal.submit_many(commands)  # in one transaction

        assert commands[0].failure is None
        assert isinstance(commands[1].failure, Forbidden)
        assert Room.find("salon").rules.hosts == [room.mark(HANA)]


def test_two_hosts_who_hand_over_to_each_other_leave_one(app: Flask, room: Room) -> None:
    with app.app_context():
        commands = [
            hand_over(room, HANA, Target(room.mark(HUGO), "Hugo")),
            hand_over(room, HUGO, Target(room.mark(HANA), "Hana")),
        ]
        services_of(app).journal.submit_many(commands)

        assert len(Room.find("salon").rules.hosts) == 1


def test_a_room_is_not_handed_over_to_nobody(salon: Salon) -> None:
    answer = salon.moderate("hand_over", target="0" * 16)

    assert answer["code"] == NotFound.code
    assert salon.moderate("lock")["ok"]

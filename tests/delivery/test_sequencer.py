"""The order on a worker's wire: numbers in a row, nothing twice, and one question for a gap."""

import random

import pytest

from chat.delivery.sequencer import Sequencer
from tests.conftest import JSON


class Room:
    """The people of a room on one worker, who write down what they are told."""

    def __init__(self, head: int = 0) -> None:
        self.cursor: list[tuple[str, int]] = []
        self.gaps = 0
        self.order = Sequencer(
            lambda _label, event, payload: self.cursor.append((event, payload["rev"])), self.gap
        )
        self.order.track("kitchen", head)

    def gap(self, label: str) -> None:
        self.gaps += 1

    def push(self, *numbers: int) -> None:
        for number in numbers:
            self.order.push("kitchen", "chat", change(number))

    def catch_up(self, *changes: JSON, upto: int) -> None:
        self.order.catch_up("kitchen", list(changes), upto)

    def mend(self, *changes: JSON, upto: int) -> None:
        """Catch up as `Heads` does when it was called because of a gap: only if the gap is still there."""
        assert self.order.has_gap("kitchen")
        self.catch_up(*changes, upto=upto)


def change(rev: int, seq: int | None = None) -> JSON:
    return {"label": "kitchen", "rev": rev, "seq": seq or rev}


def numbers(room: Room) -> list[int]:
    return [number for _, number in room.cursor]


def test_what_comes_in_order_is_told_at_once() -> None:
    room = Room()

    room.push(1, 2, 3)

    assert (numbers(room), room.gaps) == ([1, 2, 3], 0)


def test_what_comes_too_early_waits_for_its_turn() -> None:
    room = Room()

    room.push(3, 2)
    assert numbers(room) == []
    room.push(1)

    assert (numbers(room), room.gaps) == ([1, 2, 3], 1)


def test_what_has_been_told_is_not_told_again() -> None:
    room = Room(head=2)

    room.push(1, 2, 3, 3, 1)

    assert numbers(room) == [3]


def test_what_is_missing_is_read_and_told_in_order() -> None:
    room = Room()

    room.push(1, 4, 5)
    room.mend(change(2), change(3), change(4), upto=4)

    assert (numbers(room), room.gaps) == ([1, 2, 3, 4, 5], 1)
    room.push(2, 3)
    assert numbers(room) == [1, 2, 3, 4, 5]


def test_a_second_gap_is_mended_too() -> None:
    room = Room()

    room.push(2)
    room.mend(change(1), upto=1)
    room.push(4)

    assert (numbers(room), room.gaps) == ([1, 2], 2)


def test_there_is_a_gap_from_the_first_missing_number_until_it_is_there() -> None:
    room = Room()
    room.push(1)
    assert not room.order.has_gap("kitchen")

    room.push(3)
    assert room.order.has_gap("kitchen")

    room.push(2)
    assert not room.order.has_gap("kitchen")


def test_a_gap_that_nobody_has_looked_at_yet_is_not_reported_again() -> None:
    room = Room()

    room.push(2, 3)
    assert room.gaps == 1
    assert room.order.has_gap("kitchen")
    room.push(4)

    assert room.gaps == 2


def test_a_message_changed_before_it_was_told_is_told_once_as_new() -> None:
    room = Room(head=1)

    room.catch_up(change(3), change(4, seq=2), change(5, seq=1), upto=5)
    room.push(2, 4)

    assert room.cursor == [("chat", 3), ("chat", 4), ("change", 5)]


def test_a_message_on_a_later_page_is_new_too_if_it_was_changed() -> None:
    room = Room(head=1)

    room.order.catch_up("kitchen", [change(2), change(4)], 4, 1)
    room.order.catch_up("kitchen", [change(5, seq=3), change(6, seq=1)], 6, 1)

    assert room.cursor == [("chat", 2), ("chat", 4), ("chat", 5), ("change", 6)]


def test_nothing_is_told_where_nobody_is() -> None:
    room = Room()
    room.order.retain([])

    room.push(1)
    room.catch_up(change(1), upto=1)

    assert (room.cursor, room.order.cursor("kitchen")) == ([], None)


def test_who_enters_while_others_are_there_changes_nothing() -> None:
    room = Room()
    room.push(1, 2)

    room.order.track("kitchen", 1)
    room.push(2, 3)

    assert numbers(room) == [1, 2, 3]


def test_a_restored_room_starts_over() -> None:
    room = Room(head=50)

    room.order.reset("kitchen", 7)
    room.push(8)

    assert numbers(room) == [8]


@pytest.mark.parametrize("seed", range(50))
def test_whatever_the_queue_does_the_wire_is_in_order_and_whole(seed: int) -> None:
    chance = random.Random(seed)
    room = Room()
    stored = 0
    for _ in range(200):
        stored += 1
        fate = chance.random()
        news = [stored] if fate < 0.7 else [stored, stored] if fate < 0.8 else []
        room.push(*news, *chance.sample(range(1, stored + 1), k=min(stored, chance.randrange(3))))
        if room.order.has_gap("kitchen") and chance.random() < 0.5:
            cursor = room.order.cursor("kitchen") or 0
            room.catch_up(
                *(change(number) for number in range(cursor + 1, stored + 1)), upto=stored
            )
    cursor = room.order.cursor("kitchen") or 0
    room.catch_up(*(change(number) for number in range(cursor + 1, stored + 1)), upto=stored)

    assert numbers(room) == list(range(1, stored + 1))

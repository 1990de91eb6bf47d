"""The sequencer: a worker broadcasts each change of a room once, in order, and reports gaps."""

import random

import pytest

from chat.delivery.sequencer import Sequencer
from tests.conftest import JSON


class Kitchen:
    """A sequencer that tracks one room, and what it has broadcast there."""

    def __init__(self, head: int = 0) -> None:
        self.broadcast: list[tuple[str, int]] = []
        self.gaps = 0
        self.sequencer = Sequencer(self._emit, self._on_gap)
        self.sequencer.track("kitchen", head)

    @property
    def revs(self) -> list[int]:
        """The numbers of the broadcast changes, in order."""
        return [rev for _, rev in self.broadcast]

    def push(self, *revs: int) -> None:
        """Take in new messages, as from the journal or the bus."""
        for rev in revs:
            self.sequencer.push("kitchen", "chat", change(rev))

    def catch_up(self, *changes: JSON, upto: int) -> None:
        """Take in changes from the database."""
        self.sequencer.catch_up("kitchen", list(changes), upto)

    def repair_gap(self, *changes: JSON, upto: int) -> None:
        """Catch up as the reconciler does: only when the gap still exists."""
        assert self.sequencer.has_gap("kitchen")
        self.catch_up(*changes, upto=upto)

    def _emit(self, _label: str, event: str, payload: JSON) -> None:
        self.broadcast.append((event, payload["rev"]))

    def _on_gap(self, _label: str) -> None:
        self.gaps += 1


def change(rev: int, seq: int | None = None) -> JSON:
    """Return the payload of a change; without `seq`, of a new message."""
    return {"label": "kitchen", "rev": rev, "seq": seq or rev}


def test_changes_in_order_are_broadcast_at_once() -> None:
    kitchen = Kitchen()

    kitchen.push(1, 2, 3)

    assert kitchen.revs == [1, 2, 3]
    assert kitchen.gaps == 0


def test_changes_beyond_a_gap_are_held_until_it_is_closed() -> None:
    kitchen = Kitchen()

    kitchen.push(3, 2)
    assert kitchen.revs == []
    kitchen.push(1)

    assert kitchen.revs == [1, 2, 3]
    assert kitchen.gaps == 1


def test_changes_that_were_broadcast_already_are_dropped() -> None:
    kitchen = Kitchen(head=2)

    kitchen.push(1, 2, 3, 3, 1)

    assert kitchen.revs == [3]


def test_missing_changes_from_the_database_are_broadcast_in_order() -> None:
    kitchen = Kitchen()

    kitchen.push(1, 4, 5)
    kitchen.repair_gap(change(2), change(3), change(4), upto=4)

    assert kitchen.revs == [1, 2, 3, 4, 5]
    assert kitchen.gaps == 1
    kitchen.push(2, 3)
    assert kitchen.revs == [1, 2, 3, 4, 5]


def test_a_second_gap_is_reported_after_the_first_was_repaired() -> None:
    kitchen = Kitchen()

    kitchen.push(2)
    kitchen.repair_gap(change(1), upto=1)
    kitchen.push(4)

    assert kitchen.revs == [1, 2]
    assert kitchen.gaps == 2


def test_a_gap_exists_until_the_missing_number_arrives() -> None:
    kitchen = Kitchen()
    kitchen.push(1)
    assert not kitchen.sequencer.has_gap("kitchen")

    kitchen.push(3)
    assert kitchen.sequencer.has_gap("kitchen")

    kitchen.push(2)
    assert not kitchen.sequencer.has_gap("kitchen")


def test_a_gap_is_reported_once_until_it_has_been_checked() -> None:
    kitchen = Kitchen()

    kitchen.push(2, 3)
    assert kitchen.gaps == 1
    assert kitchen.sequencer.has_gap("kitchen")
    kitchen.push(4)

    assert kitchen.gaps == 2


def test_a_message_changed_before_its_broadcast_is_broadcast_once_as_new() -> None:
    kitchen = Kitchen(head=1)

    kitchen.catch_up(change(3), change(4, seq=2), change(5, seq=1), upto=5)
    kitchen.push(2, 4)

    assert kitchen.broadcast == [("chat", 3), ("chat", 4), ("change", 5)]


def test_a_changed_message_on_a_later_page_is_new_too() -> None:
    kitchen = Kitchen(head=1)

    kitchen.sequencer.catch_up("kitchen", [change(2), change(4)], 4, 1)
    kitchen.sequencer.catch_up("kitchen", [change(5, seq=3), change(6, seq=1)], 6, 1)

    assert kitchen.broadcast == [("chat", 2), ("chat", 4), ("chat", 5), ("change", 6)]


def test_nothing_is_broadcast_in_a_room_that_is_not_tracked() -> None:
    kitchen = Kitchen()
    kitchen.sequencer.retain([])

    kitchen.push(1)
    kitchen.catch_up(change(1), upto=1)

    assert kitchen.broadcast == []
    assert kitchen.sequencer.cursor("kitchen") is None


def test_tracking_a_tracked_room_again_changes_nothing() -> None:
    kitchen = Kitchen()
    kitchen.push(1, 2)

    kitchen.sequencer.track("kitchen", 1)
    kitchen.push(2, 3)

    assert kitchen.revs == [1, 2, 3]


def test_a_room_whose_history_was_restored_continues_from_the_given_head() -> None:
    kitchen = Kitchen(head=50)

    kitchen.sequencer.reset("kitchen", 7)
    kitchen.push(8)

    assert kitchen.revs == [8]


@pytest.mark.parametrize("seed", range(50))
def test_all_changes_are_broadcast_in_order_over_a_bus_that_loses_and_repeats(seed: int) -> None:
    chance = random.Random(seed)
    kitchen = Kitchen()
    stored = 0

    def catch_up() -> None:
        cursor = kitchen.sequencer.cursor("kitchen") or 0
        missing = [change(number) for number in range(cursor + 1, stored + 1)]
        kitchen.catch_up(*missing, upto=stored)

    for _ in range(200):
        stored += 1
        copies = chance.choices([0, 1, 2], [2, 7, 1])[0]
        late_count = min(stored, chance.randrange(3))
        kitchen.push(*[stored] * copies, *chance.sample(range(1, stored + 1), k=late_count))
        if kitchen.sequencer.has_gap("kitchen") and chance.random() < 0.5:
            catch_up()
    catch_up()

    assert kitchen.revs == list(range(1, stored + 1))

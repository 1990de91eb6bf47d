"""Names of people who are present are extended a room at a time, and few in each round."""

from collections.abc import Collection

import pytest
from flask import Flask

from chat.errors import Busy
from chat.presence import name_holder
from chat.presence.name_holder import MAX_PEOPLE_PER_ROUND, NameHolder
from chat.presence.roster import Roster
from chat.services import services_of
from tests.conftest import Patch


class Extended:
    """What was extended, as labels with numbers of people. `is_busy`: the database refuses."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, int]] = []
        self.marks: set[tuple[str, str]] = set()
        self.is_busy = False

    def extend(self, label: str, marks: Collection[str]) -> None:
        """Note what is extended, or raise Busy."""
        if self.is_busy:
            raise Busy
        self.calls.append((label, len(marks)))
        self.marks |= {(label, mark) for mark in marks}


@pytest.fixture
def extended(monkeypatch: Patch) -> Extended:
    """What the name holder extends."""
    made = Extended()
    monkeypatch.setattr(name_holder, "extend_names", made.extend)
    return made


@pytest.fixture
def holder(app: Flask, monkeypatch: Patch) -> NameHolder:
    """A name holder whose rounds the test starts."""
    made = NameHolder(app, services_of(app).socketio, Roster())
    monkeypatch.setattr(made._loop, "start", lambda: True)
    return made


def test_the_names_in_a_room_are_extended_together(holder: NameHolder, extended: Extended) -> None:
    for mark in ("ada", "ben", "cy"):
        for label in ("kitchen", "garden"):
            holder.on_entered(label, mark)

    holder._run_once()
    holder._run_once()

    assert extended.calls == [("kitchen", 3), ("garden", 3)]


def test_a_round_ends_after_a_number_of_people(holder: NameHolder, extended: Extended) -> None:
    for number in range(2 * MAX_PEOPLE_PER_ROUND + 1):
        holder.on_entered("hall", f"person {number}")
    holder.on_entered("kitchen", "ada")

    holder._run_once()
    assert extended.calls == [("hall", MAX_PEOPLE_PER_ROUND)]
    holder._run_once()
    holder._run_once()

    assert extended.calls[1:] == [("hall", MAX_PEOPLE_PER_ROUND), ("hall", 1), ("kitchen", 1)]
    assert len(extended.marks) == 2 * MAX_PEOPLE_PER_ROUND + 2


def test_names_are_tried_again_when_the_database_was_busy(
    holder: NameHolder, extended: Extended
) -> None:
    holder.on_entered("kitchen", "ada")
    extended.is_busy = True
    with pytest.raises(Busy):
        holder._run_once()

    extended.is_busy = False
    holder._run_once()

    assert extended.calls == [("kitchen", 1)]

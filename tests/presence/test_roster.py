"""The roster: people of this worker and of others, and what is announced about them."""

import pytest

from chat.presence.roster import (
    GRACE_SECONDS,
    LEASE_SECONDS,
    MAX_LISTED_PEOPLE,
    REFRESH_SECONDS,
    OtherPeople,
    Roster,
)
from tests.conftest import JSON


def marks(people: list[JSON]) -> set[str]:
    """Return the marks of a list of people."""
    return {person["mark"] for person in people}


def roster_of(number: int) -> Roster:
    """Return a roster with so many people in the kitchen."""
    roster = Roster()
    for each in range(number):
        roster.enter("kitchen", f"mark {each}", f"connection {each}")
    return roster


def load(roster: Roster, others: dict[str, str]) -> None:
    """Read that another worker has registered these people in the kitchen: handles by mark."""
    roster.renew("other", LEASE_SECONDS)
    roster.begin_loading(["kitchen"])
    assert roster.load("kitchen", {"other": OtherPeople(others)})


def test_people_above_the_limit_are_counted_but_not_listed() -> None:
    roster = roster_of(MAX_LISTED_PEOPLE + 2)

    listing = roster.listing("kitchen", "mark 201")
    [announcement] = roster.room_announcements()

    assert len(listing["people"]) == MAX_LISTED_PEOPLE
    assert listing["people"][0] == {"mark": "mark 201"}
    assert listing["count"] == MAX_LISTED_PEOPLE + 2
    assert len(announcement["here"]) == MAX_LISTED_PEOPLE
    assert announcement["count"] == MAX_LISTED_PEOPLE + 2


def test_all_people_are_announced_when_they_are_within_the_limit_again() -> None:
    roster = roster_of(MAX_LISTED_PEOPLE + 1)
    roster.room_announcements()

    roster.leave("connection 7", 0)
    roster.expire(GRACE_SECONDS)

    [announcement] = roster.room_announcements()
    remaining = {f"mark {number}" for number in range(MAX_LISTED_PEOPLE + 1)} - {"mark 7"}
    assert announcement["all"]
    assert marks(announcement["here"]) == remaining
    assert announcement["gone"] == []
    assert announcement["count"] == MAX_LISTED_PEOPLE


def test_a_person_who_was_listed_but_not_announced_is_announced_as_gone() -> None:
    roster = Roster()
    roster.enter("kitchen", "ada", "1")
    roster.room_announcements()
    roster.on_people("other", "kitchen", {"ben": "Ben"}, [], is_complete=False)
    listing = roster.listing("kitchen", "ada")
    roster.on_people("other", "kitchen", {}, ["ben"], is_complete=False)

    [announcement] = roster.room_announcements()

    assert marks(listing["people"]) == {"ada", "ben"}
    assert announcement["here"] == []
    assert announcement["gone"] == ["ben"]
    assert announcement["count"] == 1


def test_a_room_without_people_is_forgotten_after_it_was_published() -> None:
    roster = Roster()
    roster.enter("kitchen", "ada", "1")
    roster.worker_changes(0)
    roster.leave("1", 0)
    roster.leave("1", 0)
    roster.expire(GRACE_SECONDS)

    [change] = roster.worker_changes(0)
    assert change == {"label": "kitchen", "here": {}, "gone": ["ada"], "whole": False}
    assert roster.local_handles() == {}
    assert roster.worker_changes(0) == []


def test_people_of_another_worker_are_removed_when_its_lease_expires() -> None:
    roster = Roster()
    roster.enter("kitchen", "ada", "1")
    roster.renew("other", LEASE_SECONDS)
    roster.on_people("other", "kitchen", {"ben": "Ben", "ada": "Ada"}, [], is_complete=True)
    roster.room_announcements()

    roster.expire(LEASE_SECONDS - 1)
    assert roster.room_announcements() == []
    roster.expire(LEASE_SECONDS)

    [announcement] = roster.room_announcements()
    assert announcement["gone"] == ["ben"]
    assert announcement["count"] == 1
    assert roster.handles("kitchen") == {"ada": "Ada"}


def test_a_person_on_two_workers_counts_once_and_leaves_when_both_report_it() -> None:
    roster = Roster()
    roster.enter("kitchen", "ada", "1")
    for worker_id in ("first", "second"):
        roster.on_people(worker_id, "kitchen", {"ben": ""}, [], is_complete=False)
    [announcement] = roster.room_announcements()
    assert announcement["count"] == 2

    roster.on_people("first", "kitchen", {}, ["ben"], is_complete=False)
    assert roster.room_announcements() == []
    roster.on_people("second", "kitchen", {}, [], is_complete=True)

    [announcement] = roster.room_announcements()
    assert announcement["gone"] == ["ben"]


def test_a_handle_is_adopted_from_changes_but_not_from_complete_announcements() -> None:
    roster = Roster()
    roster.enter("kitchen", "ada", "1")
    roster.set_handle("kitchen", "ada", "Ada")

    roster.on_people("other", "kitchen", {"ada": "Old Ada"}, [], is_complete=True)
    assert roster.handles("kitchen") == {"ada": "Ada"}
    roster.on_people("other", "kitchen", {"ada": "Bea"}, [], is_complete=False)

    assert roster.handles("kitchen") == {"ada": "Bea"}


def test_people_of_other_workers_who_were_listed_are_not_announced_again() -> None:
    roster = Roster()
    roster.enter("kitchen", "ada", "1")
    load(roster, {"ben": "Ben"})
    listing = roster.listing("kitchen", "ada")

    [announcement] = roster.room_announcements()

    assert marks(listing["people"]) == {"ada", "ben"}
    assert marks(announcement["here"]) == {"ada"}


def test_people_of_other_workers_who_were_not_listed_yet_are_announced() -> None:
    roster = Roster()
    roster.enter("kitchen", "ada", "1")
    listing = roster.listing("kitchen", "ada")
    load(roster, {"ben": "Ben"})

    [announcement] = roster.room_announcements()

    assert marks(listing["people"]) == {"ada"}
    assert marks(announcement["here"]) == {"ada", "ben"}


@pytest.mark.parametrize("is_reconnected", [False, True])
def test_a_departure_between_two_loads_is_announced(is_reconnected: bool) -> None:
    roster = Roster()
    roster.enter("kitchen", "ada", "1")
    load(roster, {"ben": "Ben"})
    listing = roster.listing("kitchen", "ada")
    if is_reconnected:
        roster.unload()
    load(roster, {})

    [announcement] = roster.room_announcements()

    assert marks(listing["people"]) == {"ada", "ben"}
    assert announcement["gone"] == ["ben"]
    assert announcement["count"] == 1


def test_rooms_are_refreshed_in_turn_when_more_are_due_than_the_limit() -> None:
    roster = Roster()
    for label in ("kitchen", "garden", "cellar"):
        roster.enter(label, "ada", f"connection in {label}")
    roster.make_refresh_due()

    refreshed = []
    for turn in range(3):
        [payload] = roster.due_refreshes(turn * REFRESH_SECONDS, limit=1)
        refreshed.append(payload["label"])

    assert set(refreshed) == {"kitchen", "garden", "cellar"}


def test_what_changed_in_a_room_that_was_forgotten_does_not_delay_the_next_load() -> None:
    roster = Roster()
    roster.enter("kitchen", "ada", "1")
    roster.on_people("other", "kitchen", {"ben": "Ben"}, [], is_complete=False)
    roster.leave("1", 0)
    roster.expire(GRACE_SECONDS)
    roster.worker_changes(0)
    roster.enter("kitchen", "ada", "2")

    assert roster.load("kitchen", {})

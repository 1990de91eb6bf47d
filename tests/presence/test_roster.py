"""The roster: people of this worker and of others, and what is announced about them."""

from math import inf

from chat.presence.roster import GRACE_SECONDS, LEASE_SECONDS, MAX_LISTED_PEOPLE, Roster
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
    roster.on_message("other", {"kitchen": {"ben": "Ben"}}, {}, inf, is_complete=False)
    listing = roster.listing("kitchen", "ada")
    roster.on_message("other", {}, {"kitchen": ["ben"]}, inf, is_complete=False)

    [announcement] = roster.room_announcements()

    assert marks(listing["people"]) == {"ada", "ben"}
    assert announcement["here"] == []
    assert announcement["gone"] == ["ben"]
    assert announcement["count"] == 1


def test_a_room_without_people_is_forgotten_after_it_was_published() -> None:
    roster = Roster()
    roster.enter("kitchen", "ada", "1")
    roster.worker_changes()
    roster.leave("1", 0)
    roster.leave("1", 0)
    roster.expire(GRACE_SECONDS)

    assert roster.worker_changes() == ({}, {"kitchen": ["ada"]})
    assert roster.local_handles() == {}
    assert roster.worker_changes() == ({}, {})


def test_people_of_another_worker_are_removed_when_its_lease_expires() -> None:
    roster = Roster()
    roster.enter("kitchen", "ada", "1")
    people = {"kitchen": {"ben": "Ben", "ada": "Ada"}}
    roster.on_message("other", people, {}, LEASE_SECONDS, is_complete=True)
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
        roster.on_message(worker_id, {"kitchen": {"ben": ""}}, {}, inf, is_complete=False)
    [announcement] = roster.room_announcements()
    assert announcement["count"] == 2

    roster.on_message("first", {}, {"kitchen": ["ben"]}, inf, is_complete=False)
    assert roster.room_announcements() == []
    roster.on_message("second", {}, {}, inf, is_complete=True)

    [announcement] = roster.room_announcements()
    assert announcement["gone"] == ["ben"]


def test_a_handle_is_adopted_from_changes_but_not_from_complete_announcements() -> None:
    roster = Roster()
    roster.enter("kitchen", "ada", "1")
    roster.set_handle("kitchen", "ada", "Ada")

    roster.on_message("other", {"kitchen": {"ada": "Old Ada"}}, {}, inf, is_complete=True)
    assert roster.handles("kitchen") == {"ada": "Ada"}
    roster.on_message("other", {"kitchen": {"ada": "Bea"}}, {}, inf, is_complete=False)

    assert roster.handles("kitchen") == {"ada": "Bea"}

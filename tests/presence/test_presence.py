"""Presence and typing in one process: people are announced once, however many connections."""

import time
from collections.abc import Callable, Collection

import pytest
from flask import Flask

from chat import membership
from chat.errors import Busy
from chat.models import Room
from chat.presence.roster import GRACE_SECONDS
from chat.presence.tracker import MAX_PEOPLE_FOR_TYPING
from chat.services import services_of
from tests.conftest import JSON, Client, Patch, in_room
from tests.pages import hidden_fields

Open = Callable[..., Client]
ID = "a-random-id-of-16"


class Announcer:
    """Announces presence only when a test asks for it, at a time the test decides."""

    def __init__(self, app: Flask) -> None:
        self._presence = services_of(app).presence
        self._presence._loop._running = True  # so that entering a room does not start the loop
        self._seconds_ahead = 0.0

    def announce(self, later: float = 0.0) -> None:
        """Announce what has changed, after so many seconds more."""
        self._seconds_ahead += later
        self._presence.announce(time.monotonic() + self._seconds_ahead)


@pytest.fixture
def announcer(app: Flask) -> Announcer:
    """The announcer of the app; nothing is announced without it."""
    return Announcer(app)


def marks(people: list[JSON]) -> set[str]:
    """Return the marks of a list of people."""
    return {person["mark"] for person in people}


def announced(client: Client) -> list[tuple[set[str], set[str], int]]:
    """Return the announcements that a client received: marks here, marks gone, and the count."""
    return [
        (marks(payload["here"]), set(payload["gone"]), payload["count"])
        for payload in client.received("presence")
    ]


def test_join_answers_with_the_people_in_the_room(
    announcer: Announcer, open_client: Open, kitchen: str
) -> None:
    mark_of_ada = open_client().join(kitchen)["you"]["mark"]

    answer = open_client().join(kitchen)

    own_mark = answer["you"]["mark"]
    assert marks(answer["people"]) == {mark_of_ada, own_mark}
    assert answer["people"][0] == {"mark": own_mark}
    assert answer["count"] == 2
    assert "partial" not in answer


def test_members_receive_who_enters(
    announcer: Announcer, ada: Client, open_client: Open, kitchen: str
) -> None:
    announcer.announce()
    ada.received("presence")
    state = ada.join(kitchen)["state"]
    mark_of_ben = open_client().join(kitchen)["you"]["mark"]

    announcer.announce()

    [payload] = ada.received("presence")
    assert payload == {
        "label": kitchen,
        "state": state + 1,
        "here": [{"mark": mark_of_ben}],
        "gone": [],
        "count": 2,
    }


def test_clients_outside_the_room_do_not_receive_its_presence(
    announcer: Announcer, cy: Client, ada: Client
) -> None:
    announcer.announce()
    announcer.announce(later=60)

    assert [payload["label"] for payload in cy.received("presence")] == ["garden"]


def test_leaving_is_announced_after_the_grace_period(
    announcer: Announcer, ada: Client, ben: Client, kitchen: str
) -> None:
    mark_of_ben = ben.join(kitchen)["you"]["mark"]
    announcer.announce()
    ada.received("presence")

    ben.ask("leave", {})
    announcer.announce()
    assert announced(ada) == []
    announcer.announce(later=GRACE_SECONDS)

    assert announced(ada) == [(set(), {mark_of_ben}, 1)]


def test_disconnecting_is_announced_after_the_grace_period(
    announcer: Announcer, ada: Client, ben: Client, kitchen: str
) -> None:
    mark_of_ben = ben.join(kitchen)["you"]["mark"]
    announcer.announce()
    ada.received("presence")

    ben.close()
    announcer.announce(later=GRACE_SECONDS)

    assert announced(ada) == [(set(), {mark_of_ben}, 1)]


def test_reloading_the_page_is_not_announced(
    announcer: Announcer, ada: Client, app: Flask, open_client: Open, kitchen: str
) -> None:
    browser = app.test_client()
    browser.get(f"/{kitchen}/")
    page = open_client(browser)
    page.join(kitchen)
    announcer.announce()
    ada.received("presence")

    page.close()
    announcer.announce()
    in_room(open_client(browser), kitchen)
    announcer.announce()
    announcer.announce(later=GRACE_SECONDS)

    assert announced(ada) == []


def test_a_person_with_two_connections_leaves_when_both_are_closed(
    announcer: Announcer, ada: Client, app: Flask, open_client: Open, kitchen: str
) -> None:
    browser = app.test_client()
    browser.get(f"/{kitchen}/")
    first = open_client(browser)
    second = open_client(browser)
    mark_of_ben = first.join(kitchen)["you"]["mark"]
    assert second.join(kitchen)["count"] == 2
    announcer.announce()
    ada.received("presence")

    first.close()
    announcer.announce(later=GRACE_SECONDS)
    assert announced(ada) == []
    second.close()
    announcer.announce(later=GRACE_SECONDS)

    assert announced(ada) == [(set(), {mark_of_ben}, 1)]


def test_entering_another_room_leaves_the_first_under_a_different_mark(
    announcer: Announcer, ada: Client, ben: Client, cy: Client
) -> None:
    announcer.announce()
    ada.received("presence")
    cy.received("presence")

    mark_in_garden = ben.join("garden")["you"]["mark"]
    announcer.announce(later=GRACE_SECONDS)

    [(_, gone, kitchen_count)] = announced(ada)
    [(here, _, garden_count)] = announced(cy)
    assert len(gone) == 1
    assert kitchen_count == 1
    assert here == {mark_in_garden}
    assert garden_count == 2
    assert gone.isdisjoint(here)


def test_many_arrivals_within_a_second_are_one_announcement(
    announcer: Announcer, ada: Client, open_client: Open, kitchen: str
) -> None:
    announcer.announce()
    ada.received("presence")
    arrivals = {open_client().join(kitchen)["you"]["mark"] for _ in range(30)}

    announcer.announce()

    assert announced(ada) == [(arrivals, set(), 31)]


def test_people_are_listed_by_the_handle_they_post_or_rename_with(
    announcer: Announcer, ada: Client, ben: Client, open_client: Open, kitchen: str
) -> None:
    announcer.announce()
    ben.received("presence")
    ada.post("hello", handle="Ada")
    ada.post("hello again", handle="Ada")
    announcer.announce()

    [payload] = ben.received("presence")
    assert [person["handle"] for person in payload["here"]] == ["Ada"]
    assert "Ada" in {person.get("handle") for person in open_client().join(kitchen)["people"]}
    ada.ask("rename", {"handle": "Bea"})
    announcer.announce()
    here = ben.received("presence")[-1]["here"]
    assert {person.get("handle") for person in here} == {"Bea", None}


def test_people_who_return_are_listed_by_their_last_handle(
    announcer: Announcer, ada: Client, app: Flask, open_client: Open, kitchen: str
) -> None:
    browser = app.test_client()
    browser.get(f"/{kitchen}/")
    ben = in_room(open_client(browser), kitchen)
    ben.post("hello", handle="Ben")
    ben.ask("rename", {"handle": "Benjamin"})
    ben.close()
    announcer.announce(later=GRACE_SECONDS)
    ada.received("presence")

    in_room(open_client(browser), kitchen)
    announcer.announce()

    handles = []
    for payload in ada.received("presence"):
        [person] = payload["here"]
        handles.append(person["handle"])
    assert handles == ["Benjamin"]


def test_names_are_read_again_after_the_database_was_busy(
    announcer: Announcer,
    ada: Client,
    open_client: Open,
    app: Flask,
    kitchen: str,
    monkeypatch: Patch,
) -> None:
    def be_busy(_room: Room, _authors: Collection[str]) -> dict[str, str]:
        raise Busy

    browser = app.test_client()
    browser.get(f"/{kitchen}/")
    ben = in_room(open_client(browser), kitchen)
    ben.post("hello", handle="Ben")
    ben.close()
    announcer.announce(later=GRACE_SECONDS)
    with monkeypatch.context() as outage:
        outage.setattr(Room, "recent_handles", be_busy)
        mark = open_client(browser).join(kitchen)["you"]["mark"]
        announcer.announce()
        assert listed_handles(ada, kitchen)[mark] == ""

    announcer.announce()

    assert listed_handles(ada, kitchen)[mark] == "Ben"


def test_another_message_under_the_same_handle_is_not_announced(
    announcer: Announcer, ada: Client, ben: Client
) -> None:
    ada.post("hello")
    announcer.announce()
    ben.received("presence")

    ada.post("hello again")
    announcer.announce()

    assert announced(ben) == []


# Names


def listed_handles(client: Client, label: str) -> dict[str, str]:
    """Return the handles of the people in a room, by mark; "" for people without one."""
    people = client.join(label)["people"]
    return {person["mark"]: person.get("handle", "") for person in people}


@pytest.mark.parametrize("name", ["Ada", "The operator", "Mallory"])
def test_repeating_the_message_of_another_person_gives_nobody_a_name(
    announcer: Announcer, ada: Client, ben: Client, open_client: Open, kitchen: str, name: str
) -> None:
    mallory = open_client()
    mark = mallory.join(kitchen)["you"]["mark"]
    ada.post("hello", id=ID)

    assert mallory.post("hello", handle=name, id=ID)["duplicate"]
    announcer.announce()

    assert listed_handles(ben, kitchen)[mark] == ""


def test_repeating_an_own_message_gives_nobody_an_earlier_name_back(
    announcer: Announcer, ada: Client, ben: Client, kitchen: str
) -> None:
    mark = ada.join(kitchen)["you"]["mark"]
    ada.post("hello", handle="Ada", id=ID)
    ada.post("hello again", handle="Ava")

    assert ada.post("hello", handle="Ada", id=ID)["duplicate"]
    announcer.announce()

    assert listed_handles(ben, kitchen)[mark] == "Ava"


def test_whoever_repeats_a_message_after_reconnecting_has_its_name(
    announcer: Announcer, ada: Client, ben: Client, open_client: Open, kitchen: str
) -> None:
    you = ada.join(kitchen)["you"]
    ada.post("hello", handle="Ada", id=ID)
    ada.close()
    announcer.announce(later=GRACE_SECONDS)
    assert you["mark"] not in listed_handles(ben, kitchen)

    again = in_room(open_client(token=you["token"]), kitchen)
    assert again.post("hello", handle="Ada", id=ID)["duplicate"]
    announcer.announce()

    assert listed_handles(ben, kitchen)[you["mark"]] == "Ada"


def test_whoever_repeats_a_message_that_was_stored_without_an_answer_has_its_name(
    announcer: Announcer, app: Flask, ben: Client, open_client: Open, kitchen: str
) -> None:
    browser = app.test_client()
    form = hidden_fields(browser.get(f"/{kitchen}/").text)
    ada = open_client(browser)
    mark = ada.join(kitchen)["you"]["mark"]
    announcer.announce()
    browser.post(f"/{kitchen}/", data=form | {"handle": "Ada", "message": "hello"})

    assert ada.post("hello", handle="Ada", id=form["id"])["duplicate"]
    announcer.announce()

    assert listed_handles(ben, kitchen)[mark] == "Ada"


# Typing


def test_members_receive_who_is_typing(ada: Client, ben: Client, kitchen: str) -> None:
    mark_of_ada = ada.join(kitchen)["you"]["mark"]

    assert ada.ask("typing", {"handle": "Ada"}) == {"ok": True}

    assert ben.received("typing") == [{"label": kitchen, "mark": mark_of_ada, "handle": "Ada"}]


def test_own_connections_and_other_rooms_do_not_receive_who_is_typing(
    app: Flask, open_client: Open, ben: Client, cy: Client, kitchen: str
) -> None:
    browser = app.test_client()
    browser.get(f"/{kitchen}/")
    first = in_room(open_client(browser), kitchen)
    second = in_room(open_client(browser), kitchen)

    first.ask("typing", {"handle": "Ada"})

    assert first.received() == []
    assert second.received() == []
    assert cy.received() == []
    assert len(ben.received("typing")) == 1


def test_typing_is_announced_once_within_some_seconds(
    ada: Client, ben: Client, monkeypatch: Patch
) -> None:
    monkeypatch.setattr(membership, "TYPING_SECONDS", 3600)
    for _ in range(20):
        assert ada.ask("typing", {"handle": "Ada"})["ok"]

    assert len(ben.received("typing")) == 1


def test_typing_outside_a_room_is_refused(ada: Client, ben: Client, open_client: Open) -> None:
    ada.ask("leave", {})

    for client in (ada, open_client()):
        assert client.ask("typing", {"handle": "Ada"})["code"] == "not_joined"
    assert ben.received() == []


def test_typing_is_not_announced_in_a_large_room(
    app: Flask, ada: Client, ben: Client, kitchen: str
) -> None:
    roster = services_of(app).presence.roster
    for number in range(MAX_PEOPLE_FOR_TYPING - 1):
        roster.enter(kitchen, f"mark {number}", f"connection {number}")

    assert ada.ask("typing", {"handle": "Ada"})["ok"]

    assert ben.received("typing") == []


def test_the_handle_of_somebody_who_types_is_the_one_they_use(ada: Client, ben: Client) -> None:
    ada.post("hello", handle="Ada")

    assert ada.ask("typing", {"handle": "Ben"})["ok"]

    assert [payload["handle"] for payload in ben.received("typing")] == ["Ada"]


@pytest.mark.parametrize("name", ["Ada", "A\u200bda", "The operator"])
def test_nobody_types_under_the_name_of_another_person(
    app: Flask, ben: Client, open_client: Open, kitchen: str, name: str
) -> None:
    browser = app.test_client()
    browser.get(f"/{kitchen}/")
    ada = in_room(open_client(browser), kitchen)
    ada.post("hello", handle="Ada")
    mallory = in_room(open_client(), kitchen)

    assert mallory.ask("typing", {"handle": name})["ok"]

    assert ada.ask("typing", {"handle": "Ada"})["ok"]
    assert [payload["handle"] for payload in ben.received("typing")] == ["Ada"]
    assert len(mallory.received("typing")) == 1

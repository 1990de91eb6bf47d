"""What people can do in a room: it answers, they hear, strangers don't."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import cast

import pytest
from flask import Flask
from sqlalchemy import delete, select

from chat.models import Room, messages, rooms
from chat.services import services_of, set_services
from chat.storage.commands import Command, SetTitle
from chat.storage.database import read_transaction, write_transaction
from chat.storage.journal import Journal
from tests.conftest import JSON, Client, Log, create_room

Open = Callable[..., Client]
ID = "a-random-id-of-16"
REFUSED = {"ok": False, "retry": False}


def numbers(answer: JSON) -> list[int]:
    return [message["seq"] for message in answer["messages"]]


# join


def test_ada_enters_a_room_and_is_told_what_was_said_there(
    ada: Client, open_client: Open, kitchen: str
) -> None:
    ada.post("hello")

    answer = open_client().join(kitchen)

    assert answer["ok"]
    assert (answer["label"], answer["name"], answer["head"], answer["upto"]) == (kitchen, "", 1, 1)
    assert [message["message"] for message in answer["messages"]] == ["hello"]
    assert answer["older"] is False
    assert len(answer["people"]) == 2
    assert set(answer["you"]) == {"mark", "token"}


def test_nobody_is_told_of_a_room_by_somebody_who_enters_another(
    ada: Client, ben: Client, open_client: Open, app: Flask
) -> None:
    open_client().join(create_room(app, "cellar"))

    assert ada.received() == ben.received() == []


def test_a_room_that_is_not_there_cannot_be_entered(ada: Client, ben: Client) -> None:
    answer = ada.join("nowhere")

    assert answer == REFUSED | {"code": "not_found", "message": "There is no room of this name."}
    ada.post("still here")
    assert [said["message"] for said in ben.received("chat")] == ["still here"]


def test_who_enters_another_room_has_left_the_first(ada: Client, ben: Client, app: Flask) -> None:
    ada.join(create_room(app, "cellar"))

    ben.post("is Ada here?")

    assert ada.received("chat") == []


def test_a_newcomer_gets_the_last_fifty(ada: Client, open_client: Open, kitchen: str) -> None:
    for number in range(53):
        ada.post(f"message {number}")

    answer = open_client().join(kitchen)

    assert numbers(answer) == list(range(4, 54))
    assert answer["older"] is True


def test_who_comes_back_gets_what_changed_meanwhile(
    ada: Client, open_client: Open, kitchen: str
) -> None:
    for text in ("one", "two", "three"):
        ada.post(text)
    ada.ask("edit", {"seq": 1, "message": "first"})

    answer = open_client().join(kitchen, after=2)

    assert [
        (message["seq"], message["rev"], message["message"]) for message in answer["messages"]
    ] == [
        (3, 3, "three"),
        (1, 4, "first"),
    ]
    assert (answer["head"], answer["upto"], answer["missed"]) == (4, 4, 1)
    assert "older" not in answer


def test_who_was_away_long_catches_up_in_steps(
    ada: Client, open_client: Open, kitchen: str
) -> None:
    for number in range(205):
        ada.post(str(number))
    ben = open_client()

    answer = ben.join(kitchen, after=0)

    assert (len(answer["messages"]), answer["upto"], answer["head"], answer["missed"]) == (
        200,
        200,
        205,
        205,
    )
    rest = ben.ask("since", {"after": answer["upto"]})
    assert (numbers(rest), rest["upto"], rest["head"]) == ([201, 202, 203, 204, 205], 205, 205)


def test_two_tabs_of_one_browser_are_one_person(
    app: Flask, open_client: Open, kitchen: str
) -> None:
    browser = app.test_client()
    browser.get(f"/{kitchen}/")

    first, second = open_client(browser).join(kitchen), open_client(browser).join(kitchen)

    assert first["you"] == second["you"]
    assert second["people"] == [{"mark": first["you"]["mark"]}]
    assert second["count"] == 1


# chat


def test_ada_speaks_and_is_told_where_it_stands(ada: Client) -> None:
    answer = ada.post("hello")

    assert answer["ok"]
    assert (answer["seq"], answer["rev"], answer["head"]) == (1, 1, 1)
    assert "duplicate" not in answer


def test_ben_hears_ada_and_ada_hears_herself(ada: Client, ben: Client, kitchen: str) -> None:
    answer = ada.post("hello", handle="Ada")

    [received] = ben.received("chat")
    assert received == {
        "label": kitchen,
        "seq": 1,
        "rev": 1,
        "handle": "Ada",
        "message": "hello",
        "timestamp": answer["timestamp"],
        "mark": received["mark"],
    }
    assert ada.received("chat") == [received]


def test_cy_outside_hears_nothing(ada: Client, cy: Client) -> None:
    ada.post("a secret")

    assert cy.received() == []


def test_nobody_speaks_before_entering(open_client: Open, ben: Client) -> None:
    assert open_client().post("hello")["code"] == "not_joined"
    assert ben.received() == []


def test_who_comes_into_a_room_that_was_made_anew_is_not_in_the_old_one(
    ada: Client, ben: Client, app: Flask
) -> None:
    delete_room(app, "kitchen")
    create_room(app, "kitchen")
    services_of(app).reconciler.poll()

    assert ben.ask("join", {"label": "kitchen"})["ok"]
    assert ben.post("is anybody here?")["ok"]
    assert ada.ask("chat", {"handle": "Ada", "message": "not in yours"})["code"] == "not_found"


def test_nobody_speaks_in_a_room_that_is_gone(ada: Client, app: Flask) -> None:
    delete_room(app, "kitchen")

    assert ada.post("hello")["code"] == "not_found"


def test_the_same_id_twice_is_one_message(ada: Client, ben: Client) -> None:
    first = ada.post("hello", id=ID)
    again = ada.post("hello", id=ID)

    assert again == first | {"duplicate": True}
    assert len(ben.received("chat")) == 1
    assert len(ben.ask("history", {})["messages"]) == 1


def test_the_same_id_from_another_connection_is_one_message_too(ada: Client, ben: Client) -> None:
    first = ada.post("hello", id=ID)

    assert ben.post("hello", id=ID) == first | {"duplicate": True}


def test_an_id_is_not_given_to_two_texts(ada: Client) -> None:
    ada.post("hello", id=ID)

    assert ada.post("goodbye", id=ID)["code"] == "id_taken"


def test_a_message_that_was_edited_is_still_a_duplicate_of_its_first_text(ada: Client) -> None:
    seq = ada.post("hello", id=ID)["seq"]
    ada.ask("edit", {"seq": seq, "message": "goodbye"})

    answer = ada.post("hello", id=ID)

    assert (answer["seq"], answer["duplicate"]) == (seq, True)


def test_an_id_belongs_to_its_room(ada: Client, cy: Client) -> None:
    ada.post("hello", id=ID)

    assert "duplicate" not in cy.post("hello", id=ID)


def test_text_is_told_exactly_as_it_came_but_for_line_ends(ada: Client, ben: Client) -> None:
    ada.post("  <b>ünï\u200dcode</b>\r\n\ttwo\rthree \U0001f600 ", handle=" Ada ")

    [received] = ben.received("chat")
    assert received["message"] == "  <b>ünï\u200dcode</b>\n\ttwo\nthree \U0001f600 "
    assert received["handle"] == " Ada "


def test_what_is_live_looks_as_it_does_in_history_and_on_the_page(
    ada: Client, ben: Client, app: Flask, kitchen: str
) -> None:
    other = ada.post("first")["seq"]
    ada.post("hello", id=ID, reply_to=other)

    live = ben.received("chat")

    assert ben.ask("history", {})["messages"] == live
    assert ben.ask("since", {"after": 0})["messages"] == live
    page = app.test_client().get(f"/{kitchen}/").text
    embedded = json.loads(page.partition('id="page">')[2].partition("</script>")[0])
    assert embedded["messages"] == live


def test_ada_is_the_same_person_with_her_token(open_client: Open, kitchen: str) -> None:
    you = open_client().join(kitchen)["you"]

    assert open_client(token=you["token"]).join(kitchen)["you"] == you


@pytest.mark.parametrize("token", ["", "nonsense", "eyJhIjoxfQ.forged", "\udc00.\udc00"])
def test_a_token_that_is_not_ours_makes_a_new_person(
    open_client: Open, kitchen: str, token: str
) -> None:
    assert open_client(token=token).join(kitchen)["you"]["token"] != token


def test_a_person_is_another_mark_in_another_room(
    app: Flask, open_client: Open, kitchen: str
) -> None:
    garden = create_room(app, "garden")
    ada = open_client()

    assert ada.join(kitchen)["you"]["mark"] != ada.join(garden)["you"]["mark"]


# since


def test_ben_asks_what_changed_since(ada: Client, ben: Client) -> None:
    ada.post("one")
    ada.post("two")

    answer = ben.ask("since", {"after": 1})

    assert answer["ok"]
    assert (numbers(answer), answer["head"], answer["upto"]) == ([2], 2, 2)


def test_a_change_counts_once_however_often_it_was_made(ada: Client, ben: Client) -> None:
    seq = ada.post("one")["seq"]
    for text in ("two", "three"):
        ada.ask("edit", {"seq": seq, "message": text})

    answer = ben.ask("since", {"after": 0})

    assert [(message["rev"], message["message"]) for message in answer["messages"]] == [
        (3, "three")
    ]
    assert (answer["head"], answer["upto"]) == (3, 3)


def test_nobody_else_is_told_what_somebody_asks(ada: Client, ben: Client, cy: Client) -> None:
    ada.ask("since", {"after": 0})
    ada.ask("history", {})

    assert ben.received() == cy.received() == []


@pytest.mark.parametrize("event", ["since", "history", "edit", "delete"])
def test_nobody_asks_before_entering(open_client: Open, event: str) -> None:
    asked = {
        "since": {"after": 0},
        "history": {},
        "edit": {"seq": 1, "message": "x"},
        "delete": {"seq": 1},
    }[event]

    assert open_client().ask(event, asked)["code"] == "not_joined"


# history


@pytest.mark.parametrize(
    ("asked", "expected", "older", "newer"),
    [
        ({}, [1, 2, 3, 4, 5, 6, 7], False, False),
        ({"limit": 3}, [5, 6, 7], True, False),
        ({"before": 5, "limit": 2}, [3, 4], True, True),
        ({"before": 3, "limit": 2}, [1, 2], False, True),
        ({"before": 1}, [], False, True),
        ({"after": 5}, [6, 7], True, False),
        ({"after": 2, "limit": 2}, [3, 4], True, True),
        ({"after": 7}, [], True, False),
        ({"around": 4, "limit": 4}, [2, 3, 4, 5], True, True),
        ({"around": 1, "limit": 4}, [1, 2], False, True),
        ({"around": 99, "limit": 4}, [6, 7], True, False),
    ],
)
def test_ben_reads_back_page_by_page(
    ada: Client, ben: Client, asked: JSON, expected: list[int], older: bool, newer: bool
) -> None:
    for number in range(7):
        ada.post(str(number))

    answer = ben.ask("history", asked)

    assert answer["ok"]
    assert (numbers(answer), answer["older"], answer["newer"], answer["head"]) == (
        expected,
        older,
        newer,
        7,
    )


def test_history_of_an_empty_room_is_empty(ada: Client) -> None:
    answer = ada.ask("history", {})

    assert (answer["messages"], answer["older"], answer["newer"]) == ([], False, False)


# edit and delete


def test_ada_edits_what_she_said(ada: Client) -> None:
    seq = ada.post("helo")["seq"]

    assert ada.ask("edit", {"seq": seq, "message": "hello"}) == {"ok": True, "rev": 2, "head": 2}


def test_ben_is_told_of_the_edit(ada: Client, ben: Client) -> None:
    seq = ada.post("helo")["seq"]
    ada.ask("edit", {"seq": seq, "message": "hello"})

    [change] = ben.received("change")
    assert (change["seq"], change["rev"], change["message"]) == (1, 2, "hello")
    assert change["edited"].endswith("Z")
    assert ben.ask("history", {})["messages"] == [change]


def test_ada_deletes_what_she_said_and_its_text_is_gone(ada: Client, app: Flask) -> None:
    seq = ada.post("a secret")["seq"]

    assert ada.ask("delete", {"seq": seq}) == {"ok": True, "rev": 2, "head": 2}
    with app.app_context(), read_transaction() as connection:
        assert connection.execute(select(messages).where(messages.c.seq == seq)).one().message == ""


def test_ben_is_told_that_it_is_deleted(ada: Client, ben: Client) -> None:
    seq = ada.post("a secret")["seq"]
    ada.ask("delete", {"seq": seq})

    [change] = ben.received("change")
    assert (change["seq"], change["rev"], change["message"], change["deleted"]) == (1, 2, "", True)
    assert ben.ask("history", {})["messages"] == [change]


@pytest.mark.parametrize(
    ("event", "asked"), [("edit", {"seq": 1, "message": "mine"}), ("delete", {"seq": 1})]
)
def test_nobody_changes_what_another_said(
    ada: Client, ben: Client, cy: Client, event: str, asked: JSON
) -> None:
    ada.post("hello")

    assert ben.ask(event, asked)["code"] == "not_yours"
    assert cy.ask(event, asked)["code"] == "not_found"
    assert ada.received("change") == cy.received() == []


def test_strangers_hear_nothing_of_a_change(ada: Client, cy: Client) -> None:
    ada.post("hello")
    ada.ask("edit", {"seq": 1, "message": "hi"})
    ada.ask("delete", {"seq": 1})

    assert cy.received() == []


def test_a_change_made_twice_takes_one_number(ada: Client, ben: Client) -> None:
    ada.post("hello")
    edits = [ada.ask("edit", {"seq": 1, "message": "hi"}) for _ in range(2)]
    deletions = [ada.ask("delete", {"seq": 1}) for _ in range(2)]

    assert [answer["rev"] for answer in edits + deletions] == [2, 2, 3, 3]
    assert len(ben.received("change")) == 2


def test_what_is_deleted_cannot_be_edited(ada: Client) -> None:
    ada.post("hello")
    ada.ask("delete", {"seq": 1})

    assert ada.ask("edit", {"seq": 1, "message": "hi"})["code"] == "gone"


def test_what_was_never_said_cannot_be_changed(ada: Client) -> None:
    assert ada.ask("edit", {"seq": 7, "message": "hi"})["code"] == "not_found"


# title


def test_ada_names_the_room(ada: Client, app: Flask, open_client: Open, kitchen: str) -> None:
    ada.post("hello")

    assert ada.ask("title", {"name": "Tea & cake", "handle": "Ada"}) == {
        "ok": True,
        "rev": 2,
        "head": 2,
    }
    assert open_client().join(kitchen)["name"] == "Tea & cake"
    page = app.test_client().get(f"/{kitchen}/").text
    assert "<title>Tea &amp; cake" in page
    assert '<meta property="og:title" content="Tea &amp; cake">' in page
    assert "named the room “Tea &amp; cake”" in page


def test_ben_hears_the_name_of_the_room_as_a_line_in_it(ada: Client, ben: Client) -> None:
    ada.ask("title", {"name": "Tea", "handle": "Ada"})

    [line] = ben.received("chat")
    assert (line["seq"], line["rev"], line["kind"], line["handle"], line["message"]) == (
        1,
        1,
        "title",
        "Ada",
        "Tea",
    )
    assert (
        ben.ask("history", {})["messages"] == ben.ask("since", {"after": 0})["messages"] == [line]
    )


def test_strangers_hear_nothing_of_the_name(ada: Client, cy: Client, open_client: Open) -> None:
    ada.ask("title", {"name": "Tea"})

    assert cy.received() == []
    assert open_client().join("garden")["name"] == ""
    assert open_client().ask("title", {"name": "Tea"})["code"] == "not_joined"


def test_the_same_name_twice_takes_one_number(ada: Client, ben: Client) -> None:
    answers = [ada.ask("title", {"name": "Tea"}), ben.ask("title", {"name": "Tea"})]

    assert answers == [{"ok": True, "rev": 1, "head": 1}] * 2
    assert len(ada.received("chat")) == 1


def test_the_name_is_taken_away(
    ada: Client, ben: Client, open_client: Open, app: Flask, kitchen: str
) -> None:
    assert ada.ask("title", {"name": ""}) == {"ok": True, "rev": 0, "head": 0}
    ada.ask("title", {"name": "Tea"})
    ada.ask("title", {"name": ""})

    assert [line["message"] for line in ben.received("chat")] == ["Tea", ""]
    assert open_client().join(kitchen)["name"] == ""
    page = app.test_client().get(f"/{kitchen}/").text
    assert f"<title>{kitchen}" in page
    assert "Somebody" in page


def test_many_names_at_once_are_stored_in_their_order(
    ada: Client, app: Flask, open_client: Open, kitchen: str
) -> None:
    with app.app_context():
        room = Room.find(kitchen)
        batch: list[Command] = [SetTitle(room, "ada", name) for name in ("a", "b", "b", "a", "c")]
        services_of(app).journal.store_and_publish(batch)

    results = [command.result for command in batch if command.result]
    assert [(result.rev, result.duplicate) for result in results] == [
        (1, False),
        (2, False),
        (2, True),
        (3, False),
        (4, False),
    ]
    assert open_client().join(kitchen)["name"] == "c"
    assert [line["message"] for line in ada.received("chat")] == ["a", "b", "a", "c"]


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("x" * 81, "too_long"),
        ("  ", "empty"),
        ("a\nb", "bad_request"),
        ("a\u202eb", "bad_request"),
        (1, "bad_request"),
    ],
)
def test_not_everything_is_a_name_for_a_room(
    ada: Client, ben: Client, name: object, code: str
) -> None:
    assert ada.ask("title", {"name": name})["code"] == code
    assert ben.received() == []


def test_a_line_of_the_room_can_be_neither_edited_nor_deleted(ada: Client) -> None:
    ada.ask("title", {"name": "Tea"})

    assert ada.ask("edit", {"seq": 1, "message": "Coffee"})["code"] == "not_found"
    assert ada.ask("delete", {"seq": 1})["code"] == "not_found"


# leave


def test_ada_leaves_and_hears_no_more(ada: Client, ben: Client) -> None:
    assert ada.ask("leave", {}) == {"ok": True}

    ben.post("has she gone?")

    assert ada.received() == []
    assert ada.post("hello")["code"] == "not_joined"


def test_leaving_twice_is_leaving(ada: Client) -> None:
    assert ada.ask("leave", {}) == ada.ask("leave", {}) == {"ok": True}


# every event


@pytest.mark.parametrize("arguments", [(), ({}, {}), ({"label": "kitchen"}, 1)])
def test_an_event_takes_one_argument(ada: Client, arguments: tuple[object, ...]) -> None:
    for event in (
        "join",
        "chat",
        "since",
        "history",
        "leave",
        "edit",
        "delete",
        "react",
        "rename",
        "title",
        "typing",
    ):
        assert ada.ask(event, *arguments)["code"] == "bad_request"


@pytest.mark.parametrize(
    ("event", "payload"),
    [
        ("chat", {"handle": "Ada", "message": "again", "id": ID}),
        ("since", {"after": 0}),
        ("history", {}),
        ("edit", {"seq": 1, "message": "hello, all"}),
        ("delete", {"seq": 1}),
        ("react", {"seq": 1, "emoji": "👍", "on": True}),
        ("rename", {"handle": "Ada Lovelace"}),
        ("title", {"name": "Tea"}),
        ("typing", {"handle": "Ada"}),
    ],
)
def test_an_event_refused_before_joining_changes_nothing_and_can_be_repeated_after_it(
    ada: Client, ben: Client, kitchen: str, event: str, payload: JSON
) -> None:
    ada.post("hello")
    ada.ask("leave", {})
    ben.received()

    refused = ada.ask(event, payload)
    assert (refused["ok"], refused["code"]) == (False, "not_joined")
    assert ben.received() == []
    assert ada.join(kitchen)["head"] == 1
    repeated = ada.ask(event, payload)

    assert repeated["ok"]
    assert "duplicate" not in repeated
    assert len(ben.received()) == (0 if event in ("since", "history") else 1)


def test_a_fault_of_ours_is_an_answer_and_a_line_in_the_log(
    ada: Client, app: Flask, caplog: Log
) -> None:
    set_services(app, replace(services_of(app), journal=cast(Journal, None)))

    answer = ada.post("hello")

    assert (answer["ok"], answer["code"], answer["retry"]) == (False, "server_error", True)
    assert "chat failed" in caplog.text


def delete_room(app: Flask, label: str) -> None:
    with app.app_context(), write_transaction() as transaction:
        transaction.execute(delete(rooms).where(rooms.c.label == label))

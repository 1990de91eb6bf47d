"""The events join, chat, since, history and leave: answers, broadcasts and refusals."""

from collections.abc import Callable
from dataclasses import replace
from typing import cast

import pytest
from flask import Flask
from sqlalchemy import delete

from chat.models import rooms
from chat.services import services_of, set_services
from chat.storage.database import write_transaction
from chat.storage.journal import Journal
from tests.conftest import JSON, Client, Log, create_room
from tests.pages import embedded_answer

Open = Callable[..., Client]
ID = "a-random-id-of-16"
EVENTS = (
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
)


def seqs(answer: JSON) -> list[int]:
    return [message["seq"] for message in answer["messages"]]


def delete_room(app: Flask, label: str) -> None:
    with app.app_context(), write_transaction() as transaction:
        transaction.execute(delete(rooms).where(rooms.c.label == label))


# join


def test_join_answers_with_the_latest_messages(
    ada: Client, open_client: Open, kitchen: str
) -> None:
    ada.post("hello")

    answer = open_client().join(kitchen)

    assert answer["ok"]
    assert answer["label"] == kitchen
    assert answer["name"] == ""
    assert answer["head"] == 1
    assert answer["upto"] == 1
    assert [message["message"] for message in answer["messages"]] == ["hello"]
    assert answer["older"] is False
    assert len(answer["people"]) == 2
    assert set(answer["you"]) == {"mark", "token"}


def test_joining_another_room_sends_nothing_to_this_one(
    ada: Client, ben: Client, open_client: Open, app: Flask
) -> None:
    open_client().join(create_room(app, "cellar"))

    assert ada.received() == []
    assert ben.received() == []


def test_joining_an_unknown_room_is_refused_and_keeps_the_present_room(
    ada: Client, ben: Client
) -> None:
    answer = ada.join("nowhere")

    assert answer == {
        "ok": False,
        "code": "not_found",
        "message": "There is no room with this name.",
        "retry": False,
    }
    ada.post("still here")
    assert [message["message"] for message in ben.received("chat")] == ["still here"]


def test_joining_another_room_leaves_the_first(ada: Client, ben: Client, app: Flask) -> None:
    ada.join(create_room(app, "cellar"))

    ben.post("is Ada here?")

    assert ada.received("chat") == []


def test_join_returns_at_most_the_last_fifty_messages(
    ada: Client, open_client: Open, kitchen: str
) -> None:
    for number in range(53):
        ada.post(f"message {number}")

    answer = open_client().join(kitchen)

    assert seqs(answer) == list(range(4, 54))
    assert answer["older"] is True


def test_join_with_after_returns_missed_changes(
    ada: Client, open_client: Open, kitchen: str
) -> None:
    for text in ("one", "two", "three"):
        ada.post(text)
    ada.ask("edit", {"seq": 1, "message": "first"})

    answer = open_client().join(kitchen, after=2)

    changes = [
        (message["seq"], message["rev"], message["message"]) for message in answer["messages"]
    ]
    assert changes == [(3, 3, "three"), (1, 4, "first")]
    assert answer["head"] == 4
    assert answer["upto"] == 4
    assert answer["missed"] == 1
    assert "older" not in answer


def test_catching_up_takes_several_requests_after_a_long_absence(
    ada: Client, open_client: Open, kitchen: str
) -> None:
    for number in range(205):
        ada.post(str(number))
    ben = open_client()

    answer = ben.join(kitchen, after=0)

    assert len(answer["messages"]) == 200
    assert answer["upto"] == 200
    assert answer["head"] == 205
    assert answer["missed"] == 205
    rest = ben.ask("since", {"after": answer["upto"]})
    assert seqs(rest) == [201, 202, 203, 204, 205]
    assert rest["upto"] == 205
    assert rest["head"] == 205


def test_two_clients_of_one_browser_have_one_identity(
    app: Flask, open_client: Open, kitchen: str
) -> None:
    browser = app.test_client()
    browser.get(f"/{kitchen}/")

    first = open_client(browser).join(kitchen)
    second = open_client(browser).join(kitchen)

    assert first["you"] == second["you"]
    assert second["people"] == [{"mark": first["you"]["mark"]}]
    assert second["count"] == 1


def test_a_token_restores_an_identity(open_client: Open, kitchen: str) -> None:
    you = open_client().join(kitchen)["you"]

    assert open_client(token=you["token"]).join(kitchen)["you"]["mark"] == you["mark"]


@pytest.mark.parametrize("token", ["", "nonsense", "eyJhIjoxfQ.forged", "\udc00.\udc00"])
def test_an_invalid_token_is_replaced_by_a_new_identity(
    open_client: Open, kitchen: str, token: str
) -> None:
    assert open_client(token=token).join(kitchen)["you"]["token"] != token


def test_an_author_has_a_different_mark_in_each_room(
    app: Flask, open_client: Open, kitchen: str
) -> None:
    garden = create_room(app, "garden")
    ada = open_client()

    assert ada.join(kitchen)["you"]["mark"] != ada.join(garden)["you"]["mark"]


# chat


def test_chat_answers_with_the_numbers_of_the_message(ada: Client) -> None:
    answer = ada.post("hello")

    assert answer["ok"]
    assert (answer["seq"], answer["rev"], answer["head"]) == (1, 1, 1)
    assert "duplicate" not in answer


def test_a_message_is_broadcast_to_all_members_and_the_sender(
    ada: Client, ben: Client, kitchen: str
) -> None:
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


def test_a_message_is_not_broadcast_to_other_rooms(ada: Client, cy: Client) -> None:
    ada.post("a secret")

    assert cy.received() == []


def test_chat_is_refused_before_joining(open_client: Open, ben: Client) -> None:
    assert open_client().post("hello")["code"] == "not_joined"
    assert ben.received() == []


def test_a_client_of_a_deleted_room_is_not_a_member_of_its_successor(
    ada: Client, ben: Client, app: Flask
) -> None:
    delete_room(app, "kitchen")
    create_room(app, "kitchen")
    services_of(app).reconciler.poll()

    assert ben.ask("join", {"label": "kitchen"})["ok"]
    assert ben.post("is anybody here?")["ok"]
    assert ada.ask("chat", {"handle": "Ada", "message": "not in yours"})["code"] == "not_found"


def test_chat_is_refused_in_a_deleted_room(ada: Client, app: Flask) -> None:
    delete_room(app, "kitchen")

    assert ada.post("hello")["code"] == "not_found"


def test_a_repeated_id_stores_one_message(ada: Client, ben: Client) -> None:
    first = ada.post("hello", id=ID)
    again = ada.post("hello", id=ID)

    assert again == first | {"duplicate": True}
    assert len(ben.received("chat")) == 1
    assert len(ben.ask("history", {})["messages"]) == 1


def test_an_id_repeated_by_another_connection_stores_one_message(ada: Client, ben: Client) -> None:
    first = ada.post("hello", id=ID)

    assert ben.post("hello", id=ID) == first | {"duplicate": True}


def test_an_id_cannot_be_used_for_a_second_text(ada: Client) -> None:
    ada.post("hello", id=ID)

    assert ada.post("goodbye", id=ID)["code"] == "id_taken"


def test_a_repeated_id_is_a_duplicate_after_its_message_was_edited(ada: Client) -> None:
    seq = ada.post("hello", id=ID)["seq"]
    ada.ask("edit", {"seq": seq, "message": "goodbye"})

    answer = ada.post("hello", id=ID)

    assert answer["seq"] == seq
    assert answer["duplicate"] is True


def test_two_rooms_may_have_messages_with_the_same_id(ada: Client, cy: Client) -> None:
    ada.post("hello", id=ID)

    assert "duplicate" not in cy.post("hello", id=ID)


def test_text_is_broadcast_as_received_except_for_line_ends(ada: Client, ben: Client) -> None:
    ada.post("  <b>ünï\u200dcode</b>\r\n\ttwo\rthree \U0001f600 ", handle=" Ada ")

    [received] = ben.received("chat")
    assert received["message"] == "  <b>ünï\u200dcode</b>\n\ttwo\nthree \U0001f600 "
    assert received["handle"] == " Ada "


def test_live_payloads_equal_those_of_history_catch_up_and_page(
    ada: Client, ben: Client, app: Flask, kitchen: str
) -> None:
    other = ada.post("first")["seq"]
    ada.post("hello", id=ID, reply_to=other)

    live = ben.received("chat")

    assert ben.ask("history", {})["messages"] == live
    assert ben.ask("since", {"after": 0})["messages"] == live
    page = app.test_client().get(f"/{kitchen}/").text
    assert embedded_answer(page)["messages"] == live


def test_a_reply_names_the_message_it_answers(ada: Client, ben: Client, cy: Client) -> None:
    seq = ada.post("tea?")["seq"]

    assert ben.post("yes", reply_to=seq)["ok"]
    assert [message.get("reply_to") for message in ada.received("chat")] == [None, seq]
    assert cy.received() == []


def test_a_reply_to_an_unknown_message_is_refused(ada: Client, cy: Client) -> None:
    ada.post("tea?")
    ada.ask("edit", {"seq": 1, "message": "tea!"})

    for seq in (0, 2, 3, 999):  # 2 is the rev of the edit, not the seq of a message
        answer = ada.post("yes", reply_to=seq)
        assert answer["code"] == "not_found"
        assert answer["message"] == "There is no such message in this room."
    assert cy.post("yes", reply_to=1)["code"] == "not_found"
    assert ada.ask("history", {})["head"] == 2


def test_a_deleted_message_can_be_replied_to(ada: Client, ben: Client) -> None:
    ada.post("tea?")
    ada.ask("delete", {"seq": 1})

    assert ben.post("yes", reply_to=1)["ok"]


def test_a_reply_with_a_repeated_id_is_stored_once(ada: Client) -> None:
    ada.post("tea?")

    first = ada.post("yes", reply_to=1, id=ID)
    again = ada.post("yes", reply_to=1, id=ID)

    assert again == first | {"duplicate": True}


# since


def test_since_returns_changes_after_a_number(ada: Client, ben: Client) -> None:
    ada.post("one")
    ada.post("two")

    answer = ben.ask("since", {"after": 1})

    assert answer["ok"]
    assert seqs(answer) == [2]
    assert answer["head"] == 2
    assert answer["upto"] == 2


def test_since_returns_a_message_once_however_often_it_changed(ada: Client, ben: Client) -> None:
    seq = ada.post("one")["seq"]
    for text in ("two", "three"):
        ada.ask("edit", {"seq": seq, "message": text})

    answer = ben.ask("since", {"after": 0})

    [message] = answer["messages"]
    assert message["rev"] == 3
    assert message["message"] == "three"
    assert answer["head"] == 3
    assert answer["upto"] == 3


def test_since_and_history_broadcast_nothing(ada: Client, ben: Client, cy: Client) -> None:
    ada.ask("since", {"after": 0})
    ada.ask("history", {})

    assert ben.received() == []
    assert cy.received() == []


@pytest.mark.parametrize(
    ("event", "payload"),
    [
        ("since", {"after": 0}),
        ("history", {}),
        ("edit", {"seq": 1, "message": "x"}),
        ("delete", {"seq": 1}),
    ],
)
def test_events_about_a_room_are_refused_before_joining(
    open_client: Open, event: str, payload: JSON
) -> None:
    assert open_client().ask(event, payload)["code"] == "not_joined"


# history


@pytest.mark.parametrize(
    ("payload", "expected", "older", "newer"),
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
def test_history_returns_the_requested_page(
    ada: Client, ben: Client, payload: JSON, expected: list[int], older: bool, newer: bool
) -> None:
    for number in range(7):
        ada.post(str(number))

    answer = ben.ask("history", payload)

    assert answer["ok"]
    assert seqs(answer) == expected
    assert answer["older"] == older
    assert answer["newer"] == newer
    assert answer["head"] == 7


def test_history_of_an_empty_room_is_empty(ada: Client) -> None:
    answer = ada.ask("history", {})

    assert answer["messages"] == []
    assert answer["older"] is False
    assert answer["newer"] is False


# leave


def test_a_client_receives_nothing_after_leaving(ada: Client, ben: Client) -> None:
    assert ada.ask("leave", {}) == {"ok": True}

    ben.post("has she gone?")

    assert ada.received() == []
    assert ada.post("hello")["code"] == "not_joined"


def test_leave_is_idempotent(ada: Client) -> None:
    assert ada.ask("leave", {}) == {"ok": True}
    assert ada.ask("leave", {}) == {"ok": True}


# every event


@pytest.mark.parametrize("arguments", [(), ({}, {}), ({"label": "kitchen"}, 1)])
def test_every_event_takes_exactly_one_argument(ada: Client, arguments: tuple[object, ...]) -> None:
    for event in EVENTS:
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
def test_an_event_refused_before_joining_has_no_effect_and_can_be_repeated_after_it(
    ada: Client, ben: Client, kitchen: str, event: str, payload: JSON
) -> None:
    ada.post("hello")
    ada.ask("leave", {})
    ben.received()

    refused = ada.ask(event, payload)
    assert refused["ok"] is False
    assert refused["code"] == "not_joined"
    assert ben.received() == []
    assert ada.join(kitchen)["head"] == 1
    repeated = ada.ask(event, payload)

    assert repeated["ok"]
    assert "duplicate" not in repeated
    broadcasts = 0 if event in ("since", "history") else 1
    assert len(ben.received()) == broadcasts


def test_an_unexpected_exception_is_answered_with_server_error_and_logged(
    ada: Client, app: Flask, caplog: Log
) -> None:
    built = services_of(app)
    set_services(app, replace(built, journal=cast(Journal, None)))

    answer = ada.post("hello")

    set_services(app, built)

    assert answer["ok"] is False
    assert answer["code"] == "server_error"
    assert answer["retry"] is True
    assert "chat failed" in caplog.text

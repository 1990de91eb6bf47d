"""The page about the data of a person in a room: counting, downloading, deleting, leaving."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from chat.storage.personal_data import Count
from chat.web import your_data
from chat.web.your_data import summary
from tests.conftest import Client, Patch, create_room, in_room
from tests.pages import hidden_fields, texts_on

JSON_HEADERS = {"Accept": "application/json"}


@pytest.fixture
def browser(app: Flask, kitchen: str) -> FlaskClient:
    """The browser of Ada, who has visited the kitchen."""
    made = app.test_client()
    made.get(f"/{kitchen}/")
    return made


@pytest.fixture
def ada(open_client: Callable[..., Client], browser: FlaskClient, kitchen: str) -> Client:
    """Ada, with the identity of her browser."""
    return in_room(open_client(browser), kitchen)


def delete_everything(
    browser: FlaskClient, label: str, *, headers: Any = None, **fields: str
) -> TestResponse:
    """Send the form that deletes everything, as a browser without scripts does."""
    csrf = hidden_fields(browser.get(f"/{label}/your-data").text)["csrf"]
    form = {"csrf": csrf, "confirm": "yes", **fields}
    return browser.post(f"/{label}/your-data/delete", data=form, headers=headers)


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (Count(), "You have written nothing in this room."),
        (Count(messages=1), "You have 1 message in this room."),
        (
            Count(messages=1_200, reactions=1),
            "You have 1,200 messages and 1 reaction in this room.",
        ),
        (
            Count(2, 1, 3),
            "You have 2 messages, 1 line about names or moderation and 3 reactions in this room.",
        ),
    ],
)
def test_the_summary_is_a_sentence(found: Count, sentence: str) -> None:
    assert summary(found) == sentence


def test_the_page_says_how_much_somebody_has_written(
    browser: FlaskClient, ada: Client, ben: Client, kitchen: str
) -> None:
    ada.post("hello")
    ada.post("again")
    ben.post("hi", handle="Ben")
    ada.ask("react", {"seq": 3, "emoji": "👍", "on": True})

    page = browser.get(f"/{kitchen}/your-data")
    answer = browser.get(f"/{kitchen}/your-data", headers=JSON_HEADERS)

    sentence = "You have 2 messages and 1 reaction in this room."
    assert sentence in page.text
    assert answer.json == {"is_empty": False, "summary": sentence}
    assert page.headers["Cache-Control"] == "no-store"


def test_a_stranger_has_nothing_to_delete(app: Flask, ada: Client, kitchen: str) -> None:
    ada.post("hello")

    page = app.test_client().get(f"/{kitchen}/your-data")

    assert "You have written nothing in this room." in page.text
    assert "Delete everything" not in page.text


def test_everything_is_deleted_and_others_see_it(
    browser: FlaskClient, ada: Client, ben: Client, kitchen: str
) -> None:
    ada.post("secret")
    ben.post("hi", handle="Ben")
    ben.received()

    answer = delete_everything(browser, kitchen)

    assert "Everything you wrote in this room has been deleted." in answer.text
    [change] = ben.received("change")
    assert (change["seq"], change["deleted"]) == (1, True)
    assert texts_on(browser.get(f"/{kitchen}/").text)[1] == "hi"
    assert "secret" not in browser.get(f"/{kitchen}/").text


def test_an_answer_says_where_to_continue(
    browser: FlaskClient, ada: Client, kitchen: str, monkeypatch: Patch
) -> None:
    monkeypatch.setattr(your_data, "ERASURE_SECONDS", 0)
    for number in range(70):
        ada.post(f"message {number}")

    page = delete_everything(browser, kitchen).text
    assert "20 deleted so far" in page
    page = browser.post(f"/{kitchen}/your-data/delete", data=hidden_fields(page)).text
    assert "40 deleted so far" in page
    while "Continue deleting" in page:
        page = browser.post(f"/{kitchen}/your-data/delete", data=hidden_fields(page)).text

    assert "Everything you wrote in this room has been deleted." in page


def test_a_script_is_answered_with_the_progress(
    browser: FlaskClient, ada: Client, kitchen: str
) -> None:
    ada.post("secret")

    answer = delete_everything(browser, kitchen, headers=JSON_HEADERS)

    assert answer.json == {"after": 2, "erased": 1, "done": True}


def test_a_stranger_deletes_nothing_of_others(
    app: Flask, browser: FlaskClient, ada: Client, kitchen: str
) -> None:
    ada.post("mine")
    cy = app.test_client()
    adas = hidden_fields(browser.get(f"/{kitchen}/your-data").text)

    assert delete_everything(cy, kitchen).status_code == 200
    form = {"csrf": adas["csrf"], "confirm": "yes"}
    assert cy.post(f"/{kitchen}/your-data/delete", data=form).status_code == 400
    assert cy.get(f"/{kitchen}/your-data/messages.json").json["messages"] == []  # type: ignore[index]
    assert "mine" in browser.get(f"/{kitchen}/").text


@pytest.mark.parametrize(
    "changes", [{"csrf": ""}, {"confirm": ""}, {"after": "-1"}, {"after": "9" * 30}]
)
def test_a_form_that_is_not_complete_deletes_nothing(
    browser: FlaskClient, ada: Client, kitchen: str, changes: dict[str, str]
) -> None:
    ada.post("mine")

    assert delete_everything(browser, kitchen, **changes).status_code == 400
    assert "mine" in browser.get(f"/{kitchen}/").text


def test_a_download_has_what_a_person_wrote_and_nothing_of_others(
    browser: FlaskClient, ada: Client, ben: Client, kitchen: str
) -> None:
    ada.post("first “quoted” 🦔")
    ben.post("the words of Ben", handle="Ben")
    ada.post("second", reply_to=2)
    ada.ask("edit", {"seq": 1, "message": "first, edited"})
    ada.ask("react", {"seq": 2, "emoji": "👍", "on": True})
    ben.ask("react", {"seq": 1, "emoji": "🎉", "on": True})
    ada.ask("rename", {"handle": "Adele"})

    answer = browser.get(f"/{kitchen}/your-data/messages.json")

    assert answer.headers["Content-Disposition"] == 'attachment; filename="confab-kitchen.json"'
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.mimetype == "application/json"
    exported = json.loads(answer.text)
    assert exported["room"] == kitchen
    assert [each["text"] for each in exported["messages"]] == ["first, edited", "second", "Adele"]
    assert "edited" in exported["messages"][0]
    assert exported["messages"][1]["reply_to"] == 2
    assert exported["messages"][2]["kind"] == "rename"
    assert exported["reactions"] == [{"seq": 2, "emoji": "👍"}]
    assert "Ben" not in answer.text
    assert "🎉" not in answer.text


def test_a_deleted_message_is_not_in_the_download(
    browser: FlaskClient, ada: Client, kitchen: str
) -> None:
    ada.post("gone")
    ada.ask("delete", {"seq": 1})

    exported = browser.get(f"/{kitchen}/your-data/messages.json").json

    assert exported["messages"] == exported["reactions"] == []  # type: ignore[index]


def test_leaving_removes_the_room_and_the_name_from_the_cookie(
    app: Flask, browser: FlaskClient, kitchen: str
) -> None:
    browser.get(f"/{create_room(app, 'garden')}/")
    with browser.session_transaction() as session:
        session["handle"] = "Ada"
        author = session["author"]

    form = hidden_fields(browser.get(f"/{kitchen}/your-data").text)
    answer = browser.post(f"/{kitchen}/your-data/leave", data=form)

    assert (answer.status_code, answer.location) == (303, "/")
    with browser.session_transaction() as session:
        assert "handle" not in session
        assert session["author"] == author
        assert len(session["rooms"].split()) == 1
    assert browser.post(f"/{kitchen}/your-data/leave").status_code == 400


def test_counting_is_limited(limited_app: Callable[..., Flask]) -> None:
    app = limited_app()
    kitchen = create_room(app, "kitchen")
    browser = app.test_client()
    browser.get(f"/{kitchen}/")

    answers = [browser.get(f"/{kitchen}/your-data").status_code for _ in range(21)]

    assert answers == [200] * 20 + [429]


def test_the_page_without_scripts_links_to_it(browser: FlaskClient, kitchen: str) -> None:
    assert f'href="/{kitchen}/your-data"' in browser.get(f"/{kitchen}/").text

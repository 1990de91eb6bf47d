"""The form that reports a message or a room."""

from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from chat.models import Room
from chat.storage.journal import create_room as create_hosted_room
from chat.storage.reports import StoredReport, reports_of_room, reports_to_operator
from tests.conftest import Client, create_room, in_room
from tests.pages import hidden_fields

HOST_MARK = "a" * 16
JSON_HEADERS = {"Accept": "application/json"}


@pytest.fixture
def parlor(app: Flask) -> str:
    """The label of a room with a host."""
    with app.app_context():
        assert create_hosted_room("parlor", host_mark=HOST_MARK)
    return "parlor"


@pytest.fixture
def ada_in_parlor(open_client: Callable[..., Client], parlor: str) -> Client:
    """Somebody who posts in the room with a host."""
    return in_room(open_client(), parlor)


def stored(app: Flask, label: str) -> list[StoredReport]:
    """Return the reports of a room."""
    with app.app_context():
        return reports_of_room(Room.find(label))


def report(browser: FlaskClient, label: str, **fields: str) -> TestResponse:
    """Send the form, as a browser without scripts does."""
    form = hidden_fields(browser.get(f"/{label}/report").text)
    return browser.post(f"/{label}/report", data=form | fields)


def test_a_message_is_reported_to_the_hosts(app: Flask, ada_in_parlor: Client, parlor: str) -> None:
    seq = str(ada_in_parlor.post("<b>bad</b>")["seq"])
    browser = app.test_client()
    page = browser.get(f"/{parlor}/report?seq={seq}").text
    ada_in_parlor.received()

    form = hidden_fields(page) | {"reason": "Rude."}
    answer = browser.post(f"/{parlor}/report", data=form)

    assert "&lt;b&gt;bad&lt;/b&gt;" in page
    assert form["seq"] == seq
    assert answer.status_code == 303
    assert "The hosts of this room can see" in browser.get(answer.location).text
    [found] = stored(app, parlor)
    assert (found.message, found.reason, found.to_operator) == ("<b>bad</b>", "Rude.", False)
    assert ada_in_parlor.received() == []  # who is reported is not told


def test_a_room_is_reported_to_its_hosts_and_to_the_operator(app: Flask, parlor: str) -> None:
    assert report(app.test_client(), parlor, reason="", to_operator="yes").status_code == 303

    [found] = stored(app, parlor)
    assert (found.seq, found.message, found.to_operator) == (None, "", True)


def test_a_room_without_hosts_is_reported_to_the_operator(app: Flask, kitchen: str) -> None:
    browser = app.test_client()

    assert "This room has no host." in browser.get(f"/{kitchen}/report").text
    assert report(browser, kitchen, reason="").status_code == 303

    with app.app_context():
        assert len(reports_to_operator()) == 1


def test_the_form_offers_the_last_messages_of_others(
    app: Flask, open_client: Callable[..., Client], kitchen: str
) -> None:
    browser = app.test_client()
    browser.get(f"/{kitchen}/")
    in_room(open_client(browser), kitchen).post("my own words")
    in_room(open_client(), kitchen).post("words of another", handle="Ben")

    page = browser.get(f"/{kitchen}/report").text

    assert "words of another" in page
    assert "my own words" not in page


def test_a_script_gets_short_answers(app: Flask, parlor: str) -> None:
    browser = app.test_client()
    form = hidden_fields(browser.get(f"/{parlor}/report").text)
    path = f"/{parlor}/report"

    sent = browser.post(path, data=form | {"reason": "x" * 500}, headers=JSON_HEADERS)
    refused = browser.post(path, data=form | {"reason": "x" * 501}, headers=JSON_HEADERS)

    assert (sent.status_code, sent.data) == (204, b"")
    assert (refused.status_code, refused.json["code"]) == (413, "too_long")  # type: ignore[index]
    assert len(stored(app, parlor)) == 1


@pytest.mark.parametrize("seq", ["999", "-1", "1.5", "²", "x"])
def test_a_message_that_does_not_exist_cannot_be_reported(
    app: Flask, parlor: str, seq: str
) -> None:
    assert report(app.test_client(), parlor, seq=seq).status_code in (400, 404)
    assert stored(app, parlor) == []


def test_a_message_of_another_room_cannot_be_reported(
    app: Flask, ada_in_parlor: Client, parlor: str
) -> None:
    seq = str(ada_in_parlor.post("in the parlor")["seq"])
    kitchen = create_room(app, "kitchen")

    assert report(app.test_client(), kitchen, seq=seq).status_code == 404
    assert app.test_client().get(f"/{kitchen}/report?seq={seq}").status_code == 404
    assert stored(app, kitchen) == stored(app, parlor) == []


def test_a_report_without_the_token_of_the_page_is_refused(app: Flask, parlor: str) -> None:
    browser = app.test_client()
    browser.get(f"/{parlor}/report")
    mallory = hidden_fields(app.test_client().get(f"/{parlor}/report").text)

    for form in ({}, mallory):
        assert browser.post(f"/{parlor}/report", data=form).status_code == 400
    assert stored(app, parlor) == []


def test_a_room_that_does_not_exist_cannot_be_reported_and_is_not_created(app: Flask) -> None:
    browser = app.test_client()
    form = hidden_fields(browser.get(f"/{create_room(app, 'kitchen')}/report").text)

    assert browser.get("/nowhere/report").status_code == 404
    assert browser.post("/nowhere/report", data=form).status_code == 404
    assert browser.get("/nowhere/your-data").status_code == 404


def test_reports_are_limited(limited_app: Callable[..., Flask]) -> None:
    app = limited_app()
    kitchen = create_room(app, "kitchen")
    browser = app.test_client()

    answers = [report(browser, kitchen, reason="again") for _ in range(6)]

    assert [answer.status_code for answer in answers] == [303] * 5 + [429]
    assert int(answers[-1].headers["Retry-After"]) > 0
    assert len(stored(app, kitchen)) == 5

"""Private rooms: how they are made, and what link previews and other sites learn of them."""

import re
from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient

from chat.models import Room, rooms
from chat.storage.database import write_transaction
from chat.web.labels import PRIVATE_CHARACTERS, PRIVATE_LENGTH, is_valid_label, private_label
from tests.conftest import Client, in_room
from tests.pages import hidden_fields, texts_on

PREVIEW = {"User-Agent": "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)"}


def press_new_private_room(app: Flask, browser: FlaskClient | None = None) -> str:
    """Press "New private room" on the home page; return the label of the room."""
    browser = browser or app.test_client()
    form = hidden_fields(browser.get("/").text) | {"private": "1"}
    answer = browser.post("/new/", data=form)
    assert answer.status_code == 303
    return answer.location.strip("/")


def test_a_private_label_is_random_and_survives_in_texts() -> None:
    made = {private_label() for _ in range(100)}

    assert len(made) == 100
    for label in made:
        assert len(label) == PRIVATE_LENGTH == 22
        assert set(label) <= set(PRIVATE_CHARACTERS)
        assert is_valid_label(label)


def test_new_private_room_makes_a_private_room(app: Flask) -> None:
    label = press_new_private_room(app)

    assert re.fullmatch(r"[A-Za-z0-9]{22}", label)
    with app.app_context():
        room = Room.find(label)
    assert room.rules.is_private
    assert len(room.rules.hosts) == 1


def test_a_link_makes_a_private_room_too(app: Flask) -> None:
    answer = app.test_client().get("/new/?private=1")

    with app.app_context():
        assert Room.find(answer.location.strip("/")).rules.is_private


def test_new_room_makes_no_private_room(app: Flask) -> None:
    browser = app.test_client()
    answer = browser.post("/new/", data=hidden_fields(browser.get("/").text))

    with app.app_context():
        assert not Room.find(answer.location.strip("/")).rules.is_private


@pytest.fixture
def private_room(app: Flask, ada: Client) -> str:
    """A private room with a name and a message."""
    label = press_new_private_room(app)
    in_room(ada, label).post("the secret message")
    assert ada.ask("title", {"name": "The secret name"})["ok"]
    return label


def test_the_title_of_a_private_room_is_not_for_previews(app: Flask, private_room: str) -> None:
    page = app.test_client().get(f"/{private_room}/")

    assert texts_on(page.text)[0] == "the secret message"
    head = page.text.partition("</head>")[0]
    assert "secret" not in head
    assert private_room not in head
    assert "og:" not in head
    assert "<title>Private room · Confab</title>" in head
    assert '<meta name="referrer" content="no-referrer">' in head
    assert page.headers["Cache-Control"] == "no-store"
    assert page.headers["X-Robots-Tag"] == "noindex"
    assert page.headers["Referrer-Policy"] == "no-referrer"


def test_a_link_preview_of_a_private_room_shows_nothing(app: Flask, private_room: str) -> None:
    page = app.test_client().get(f"/{private_room}/", headers=PREVIEW)

    assert page.status_code == 200
    assert "secret" not in page.text


@pytest.mark.parametrize("agent", ["Slackbot-LinkExpanding 1.0", "WhatsApp/2.23.20.0 A"])
def test_a_link_preview_of_no_page_of_a_private_room_shows_anything(
    app: Flask, open_client: Callable[..., Client], agent: str
) -> None:
    host = app.test_client()
    label = press_new_private_room(app, host)
    client = in_room(open_client(host), label)
    client.post("midnight feast", handle="Zelda")
    mark = client.join(label)["you"]["mark"]
    paths = room_paths(app, "GET", label, mark)

    pages = {path: host.get(f"/{label}/{path}").text for path in paths}
    previews = {path: host.get(f"/{label}/{path}", headers={"User-Agent": agent}) for path in paths}

    telling = {path for path, text in pages.items() if shows_room(text)}
    assert telling >= {"", "people", f"people/{mark}", "messages/1"}
    for path, preview in previews.items():
        assert not shows_room(preview.text), path
        expected = {"": 200, "qr.svg": 200, "password": 303}.get(path, 404)
        assert preview.status_code == expected, path


@pytest.mark.parametrize("agent", ["Slackbot-LinkExpanding 1.0", "WhatsApp/2.23.20.0 A"])
def test_a_link_preview_program_can_send_no_form_of_a_private_room(
    app: Flask, open_client: Callable[..., Client], agent: str
) -> None:
    host = app.test_client()
    label = press_new_private_room(app, host)
    client = in_room(open_client(host), label)
    client.post("midnight feast", handle="Zelda")
    csrf = hidden_fields(host.get(f"/{label}/your-data").text)["csrf"]
    fields = {"csrf": csrf, "confirm": "yes", "action": "lock", "handle": "Bot", "message": "!"}

    for form in ({}, fields):
        for path in room_paths(app, "POST", label):
            answer = host.post(f"/{label}/{path}", data=form, headers={"User-Agent": agent})
            assert not shows_room(answer.text), path
            assert answer.status_code in ((303, 400) if path == "your-data/leave" else (400, 404))

    [row] = client.ask("history", {})["messages"]
    assert row["message"] == "midnight feast"


def shows_room(text: str) -> bool:
    """Return whether a page shows the message in the private room, or who wrote it."""
    return "midnight" in text or "Zelda" in text


def room_paths(app: Flask, method: str, label: str, mark: str = "") -> list[str]:
    """Return the paths of all pages of a room, or of all its forms, below that of the room."""
    values = {"label": label, "mark": mark, "seq": 1}
    routes = app.url_map.bind("localhost")
    paths = [
        routes.build(rule.endpoint, values, method, append_unknown=False)
        for rule in app.url_map.iter_rules()
        if "label" in rule.arguments and method in (rule.methods or ())
    ]
    return [path.removeprefix(f"/{label}/") for path in paths]


def test_other_rooms_have_previews(app: Flask, ada: Client, kitchen: str) -> None:
    ada.ask("title", {"name": "Supper"})

    page = app.test_client().get(f"/{kitchen}/", headers=PREVIEW)

    assert '<meta property="og:title" content="Supper">' in page.text
    assert page.headers["Referrer-Policy"] == "same-origin"


def test_the_page_says_who_can_find_a_private_room(
    app: Flask, private_room: str, kitchen: str
) -> None:
    sentence = "Only people with the link can find this private room"

    assert sentence in app.test_client().get(f"/{private_room}/").text
    assert sentence not in app.test_client().get(f"/{kitchen}/").text


def test_no_browser_keeps_the_qr_code_of_a_private_room(app: Flask, private_room: str) -> None:
    browser = app.test_client()

    assert browser.get(f"/{private_room}/qr.svg").headers["Cache-Control"] == "no-store"
    assert "max-age" in browser.get("/nowhere/qr.svg").headers["Cache-Control"]


def test_no_browser_keeps_the_qr_code_of_a_room_with_a_password(app: Flask, kitchen: str) -> None:
    browser = app.test_client()
    assert "max-age" in browser.get(f"/{kitchen}/qr.svg").headers["Cache-Control"]
    with app.app_context(), write_transaction() as connection:
        connection.execute(rooms.update().values(password_hash="a hash"))

    assert browser.get(f"/{kitchen}/qr.svg").headers["Cache-Control"] == "no-store"

"""Only a visit creates a room: not HEAD, a prefetch, a link preview, or an image elsewhere."""

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from chat.models import Room
from chat.storage.database import read_transaction
from chat.web import visits
from tests.conftest import Client, create_room, in_room
from tests.pages import hidden_fields, texts_on

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"
PEOPLE = [
    {"User-Agent": FIREFOX},
    {"User-Agent": "curl/8.5.0"},
    {"User-Agent": ""},
    {"User-Agent": "Mozilla/5.0 (Linux; Android 9; CUBOT_X19) Chrome/120 Mobile Safari/537.36"},
    {"User-Agent": "Mozilla/5.0 (iPhone) [FBAN/FBIOS;FBAV/440.0;FBDV/iPhone14,5;FBSN/iOS]"},
    {"User-Agent": "Mozilla/5.0 (iPhone) AppleWebKit/605.1.15 [LinkedInApp]/9.29"},
    {"User-Agent": FIREFOX, "Sec-Fetch-Dest": "document", "Sec-Fetch-Mode": "navigate"},
    {"User-Agent": FIREFOX, "Sec-Purpose": ""},
]
NO_PEOPLE = [
    {"Purpose": "prefetch"},
    {"Sec-Purpose": "prefetch"},
    {"Sec-Purpose": "prefetch;prerender"},
    {"Sec-Purpose": "Prefetch; anonymous-client-ip"},
    {"User-Agent": "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)"},
    {"User-Agent": "Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)"},
    {"User-Agent": "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)"},
    {"User-Agent": "TelegramBot (like TwitterBot)"},
    {"User-Agent": "WhatsApp/2.23.20.0 A"},
    {"User-Agent": "Mastodon/4.5.0 (http.rb/5.3.1; +https://mastodon.example/)"},
    {"User-Agent": "Synapse (bot; +https://github.com/matrix-org/synapse)"},
    {"User-Agent": "Mozilla/5.0 AppleWebKit/537.36 (compatible; Googlebot/2.1) Safari/537.36"},
]


def labels(app: Flask) -> list[str]:
    """Return the labels of all rooms."""
    with app.app_context(), read_transaction() as connection:
        return list(connection.scalars(select(Room.label)))


def post_new(browser: FlaskClient, **changes: str) -> int:
    """Press "New room" on the home page; return the status."""
    form = hidden_fields(browser.get("/").text) | changes
    return browser.post("/new/", data=form).status_code


@pytest.mark.parametrize("headers", PEOPLE, ids=str)
def test_the_visit_of_a_person_creates_a_room(app: Flask, headers: dict[str, str]) -> None:
    assert app.test_client().get("/kitchen/", headers=headers).status_code == 200
    assert labels(app) == ["kitchen"]


@pytest.mark.parametrize("headers", NO_PEOPLE, ids=str)
def test_a_request_without_a_person_gets_the_empty_page_and_no_room(
    app: Flask, headers: dict[str, str]
) -> None:
    answer = app.test_client().get("/kitchen/", headers=headers)

    assert answer.status_code == 200
    assert "<title>kitchen" in answer.text
    assert texts_on(answer.text) == []
    assert "data-missing" in answer.text
    assert labels(app) == []


def test_a_head_request_creates_no_room(app: Flask) -> None:
    answer = app.test_client().head("/kitchen/")

    assert (answer.status_code, answer.data) == (200, b"")
    assert labels(app) == []


@pytest.mark.parametrize("headers", NO_PEOPLE, ids=str)
def test_a_request_without_a_person_gets_the_page_of_a_room_that_exists(
    app: Flask, ada: Client, kitchen: str, headers: dict[str, str]
) -> None:
    ada.post("hello")

    answer = app.test_client().get(f"/{kitchen}/", headers=headers)

    assert texts_on(answer.text) == ["hello"]
    assert "data-missing" not in answer.text
    assert app.test_client().head(f"/{kitchen}/").status_code == 200


def test_a_message_can_be_posted_from_a_page_that_was_fetched_ahead(app: Flask) -> None:
    browser = app.test_client()
    page = browser.get("/kitchen/", headers={"Sec-Purpose": "prefetch"}).text

    form = hidden_fields(page) | {"handle": "Ada", "message": "hello"}
    answer = browser.post("/kitchen/", data=form)

    assert answer.status_code == 303
    assert texts_on(browser.get("/kitchen/").text) == ["hello"]


@pytest.mark.parametrize("path", ["/.env", "/.env/", "/wp-login.php", "/.git/config", "/a/../b/"])
def test_an_address_that_no_room_can_have_creates_none(app: Flask, path: str) -> None:
    assert app.test_client().get(path).status_code == 404
    assert labels(app) == []


def test_a_valid_label_is_a_room_whatever_else_uses_it(app: Flask) -> None:
    """As in the original: nobody can know that no person meant it."""
    assert app.test_client().get("/wp-admin/").status_code == 200
    assert labels(app) == ["wp-admin"]


# New rooms


@pytest.mark.parametrize("destination", ["image", "iframe", "empty", "script", "video"])
def test_another_site_cannot_create_rooms_by_loading_new_as_a_part_of_its_page(
    app: Flask, destination: str
) -> None:
    answer = app.test_client().get("/new/", headers={"Sec-Fetch-Dest": destination})

    assert answer.status_code == 200
    assert 'action="/new/"' in answer.text
    assert labels(app) == []


@pytest.mark.parametrize("headers", NO_PEOPLE, ids=str)
def test_a_request_for_new_without_a_person_creates_no_room(
    app: Flask, headers: dict[str, str]
) -> None:
    assert app.test_client().get("/new/", headers=headers).status_code == 200
    assert app.test_client().head("/new/").status_code == 200
    assert labels(app) == []


@pytest.mark.parametrize("headers", PEOPLE, ids=str)
def test_a_person_who_opens_new_gets_a_new_room(app: Flask, headers: dict[str, str]) -> None:
    assert app.test_client().get("/new/", headers=headers).status_code == 303
    assert len(labels(app)) == 1


def test_the_form_of_the_home_page_has_a_token_of_its_browser(app: Flask) -> None:
    browser = app.test_client()
    foreign = hidden_fields(app.test_client().get("/").text)["csrf"]

    assert [post_new(browser, csrf=token) for token in ("", "x" * 50, foreign)] == [400] * 3
    assert "accepts cookies" in browser.post("/new/").text
    assert labels(app) == []
    assert post_new(browser) == 303
    assert len(labels(app)) == 1


def test_a_member_of_a_room_can_join_it_after_a_preview(app: Flask, ada: Client) -> None:
    label = create_room(app, "garden")
    app.test_client().get(f"/{label}/", headers={"User-Agent": "Twitterbot/1.0"})

    assert in_room(ada, label).post("hello")["ok"]


def test_every_name_in_the_list_of_bots_is_lower_case() -> None:
    assert list(visits.LINK_PREVIEW_BOTS) == [name.lower() for name in visits.LINK_PREVIEW_BOTS]

"""The password of a room: asked before anything is shown, limited, and normalized."""

import re
import unicodedata
from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from chat.engine import Turns
from chat.errors import Empty, TooLong
from chat.moderation.room_password import (
    MAX_PASSWORD_CHARS,
    MAX_PROOFS,
    hash_password,
    is_right_password,
)
from chat.services import services_of
from tests.conftest import Client, StoppedClock, create_room, in_room
from tests.moderation.conftest import Salon
from tests.pages import hidden_fields

PASSWORD = "open sesame"
SCRIPT = {"Accept": "application/json"}


@pytest.fixture
def browser(salon: Salon) -> FlaskClient:
    """The browser of somebody who has not given the password that Hana has set."""
    assert salon.moderate("password", password=PASSWORD)["ok"]
    return salon.app.test_client()


def give(
    browser: FlaskClient, password: str, path: str = "password", script: bool = False
) -> TestResponse:
    """Send the form of the page that asks for the password."""
    form = hidden_fields(browser.get("/salon/").text) | {"password": password}
    headers = SCRIPT if script else {}
    return browser.post(f"/salon/{path}", data=form, headers=headers)


@pytest.mark.parametrize("path", ["password", ""])
def test_the_right_password_opens_the_room(browser: FlaskClient, path: str) -> None:
    answer = give(browser, PASSWORD, path)

    assert answer.status_code == 303
    assert answer.location == "/salon/"
    assert "Hana is here" in browser.get("/salon/").text


def test_the_form_is_one_for_password_managers_and_keeps_the_fragment(browser: FlaskClient) -> None:
    page = browser.get("/salon/")

    assert page.status_code == 401
    assert 'autocomplete="current-password"' in page.text
    assert 'type="password"' in page.text
    # Without an action, a browser sends the form to its own address, and keeps the fragment.
    assert '<form class="field-form" method="post">' in page.text


def test_the_page_of_the_address_stays_the_same(browser: FlaskClient) -> None:
    form = hidden_fields(browser.get("/salon/?before=3").text) | {"password": PASSWORD}

    assert browser.post("/salon/?before=3", data=form).location == "/salon/?before=3"


def test_a_wrong_password_is_refused_with_the_form(browser: FlaskClient) -> None:
    for path in ("password", ""):
        page = give(browser, "guess", path)
        assert page.status_code == 403
        assert "This password is not right." in page.text
        assert 'autocomplete="current-password"' in page.text
        assert "Hana is here" not in page.text
    assert browser.get("/salon/").status_code == 401
    assert browser.get("/salon/password").location == "/salon/"


def test_an_empty_password_and_a_missing_csrf_token_are_refused(browser: FlaskClient) -> None:
    assert give(browser, " ").status_code == 400
    assert browser.post("/salon/password", data={"password": PASSWORD}).status_code == 400
    assert browser.get("/salon/").status_code == 401


def test_a_script_gets_no_page(browser: FlaskClient) -> None:
    refused = give(browser, "guess", script=True)
    assert refused.status_code == 403
    assert refused.json
    assert refused.json["code"] == "wrong_password"

    assert give(browser, PASSWORD, script=True).status_code == 204
    assert browser.get("/salon/").status_code == 200


def test_the_socket_of_the_browser_needs_no_password_again(
    salon: Salon, browser: FlaskClient
) -> None:
    give(browser, PASSWORD)

    assert salon.open_client(browser).join("salon")["ok"]


def test_a_new_password_has_to_be_given_again_on_the_page(
    salon: Salon, browser: FlaskClient
) -> None:
    give(browser, PASSWORD)

    salon.moderate("password", password="")
    salon.moderate("password", password=PASSWORD)

    assert browser.get("/salon/").status_code == 401


def test_leaving_the_room_removes_what_proves_the_password(
    salon: Salon, browser: FlaskClient
) -> None:
    give(browser, PASSWORD)
    form = hidden_fields(browser.get("/salon/your-data").text)

    assert browser.post("/salon/your-data/leave", data=form).status_code == 303

    with browser.session_transaction() as session:
        assert session["passwords"] == ""
    assert browser.get("/salon/").status_code == 401


def test_the_cookie_of_another_person_does_not_prove_the_password(
    salon: Salon, browser: FlaskClient
) -> None:
    give(browser, PASSWORD)
    with browser.session_transaction() as session:
        proofs = session["passwords"]
    thief = salon.app.test_client()
    thief.get("/salon/")
    with thief.session_transaction() as session:
        session["passwords"] = proofs

    assert thief.get("/salon/").status_code == 401


def test_the_cookie_remembers_the_last_rooms_only(salon: Salon, browser: FlaskClient) -> None:
    for number in range(MAX_PROOFS + 1):
        label = create_room(salon.app, f"room-{number}")
        host = in_room(salon.open_client(), label)
        host.ask("moderate", {"action": "become_host"})
        host.ask("moderate", {"action": "password", "password": PASSWORD})
        host.close()
        form = hidden_fields(browser.get(f"/{label}/").text) | {"password": PASSWORD}
        assert browser.post(f"/{label}/password", data=form).status_code == 303

    assert browser.get("/room-0/").status_code == 401
    assert browser.get(f"/room-{MAX_PROOFS}/").status_code == 200


def test_people_without_the_password_receive_no_event(salon: Salon, browser: FlaskClient) -> None:
    stranger = salon.open_client(browser)
    assert stranger.join("salon")["code"] == "password_required"
    assert stranger.join("salon", password="guess")["code"] == "wrong_password"
    stranger.received()

    salon.hana.post("secret", handle="Hana")

    assert stranger.received() == []
    assert stranger.received("presence") == []
    for event in ("since", "history"):
        assert stranger.ask(event, {"after": 0})["code"] == "not_joined"


# What counts as the same password


@pytest.mark.parametrize(
    ("stored", "typed", "is_right"),
    [
        ("café", unicodedata.normalize("NFD", "café"), True),
        ("open sesame", " open sesame\n", True),
        ("open sesame", "open\u00a0sesame", True),
        ("open sesame", "open\u3000sesame", True),
        ("open sesame", "Open sesame", False),
        ("open sesame", "opensesame", False),
        ("ﬁ", "fi", False),
        ("x" * MAX_PASSWORD_CHARS, "x" * (MAX_PASSWORD_CHARS + 1), False),
    ],
)
def test_the_same_password_typed_otherwise_is_right(
    stored: str, typed: str, *, is_right: bool
) -> None:
    assert is_right_password(typed, hash_password(stored)) is is_right


def test_a_blank_or_long_password_is_refused() -> None:
    for blank in ("", "  ", "\u3164"):
        with pytest.raises(Empty):
            hash_password(blank)
    with pytest.raises(TooLong):
        hash_password("x" * (MAX_PASSWORD_CHARS + 1))


def test_equal_passwords_have_different_hashes_without_the_password() -> None:
    first = hash_password(PASSWORD)

    assert first != hash_password(PASSWORD)
    assert re.fullmatch(r"[0-9a-f]{32}\$[0-9a-f]{64}", first)


# Limits


def room_with_password(app: Flask) -> None:
    """Create the salon and set its password."""
    host = in_room(Client(app, None), create_room(app, "salon"))
    assert host.ask("moderate", {"action": "become_host"})["ok"]
    assert host.ask("moderate", {"action": "password", "password": PASSWORD})["ok"]


def test_a_person_tries_only_some_passwords(limited_app: Callable[..., Flask]) -> None:
    app = limited_app()
    room_with_password(app)
    browser = app.test_client()
    for _ in range(5):
        assert give(browser, "guess").status_code == 403

    refused = give(browser, PASSWORD)

    assert refused.status_code == 429
    assert refused.headers["Retry-After"] == "10"
    assert 'autocomplete="current-password"' in refused.text
    socket = Client(app, browser)
    assert socket.join("salon", password=PASSWORD)["code"] == "rate_limited"
    clock = services_of(app).limits.clock
    assert isinstance(clock, StoppedClock)
    clock.now += 10
    assert give(browser, PASSWORD).status_code == 303


def test_an_address_tries_only_some_passwords(limited_app: Callable[..., Flask]) -> None:
    app = limited_app(limit_address_passwords="6, 1/min", forwarded_allow_ips="")
    room_with_password(app)
    answers = [give(app.test_client(), "guess").status_code for _ in range(7)]

    assert answers == [403] * 6 + [429]


def test_too_many_passwords_at_once_are_refused() -> None:
    turns = Turns(at_once=1, max_waiting=0)
    assert turns.enter()

    assert not turns.enter()

    turns.leave()
    assert turns.enter()

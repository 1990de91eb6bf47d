"""The identity of a browser: the cookie on http and https, its renewal, and tokens."""

import re
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from itsdangerous import TimestampSigner, URLSafeSerializer

from chat.current_config import current_config, secret_key
from chat.storage import journal
from tests.clients import Stranger
from tests.conftest import Client, Patch
from tests.servers import gunicorn

DAY_SECONDS = 24 * 3600
HTTPS = "https://localhost"

Open = Callable[..., Client]


def mark_on(page: str) -> str:
    [mark] = re.findall(r'"you": ?\{"mark": ?"(\w{16})"', page)
    return str(mark)


def visit(browser: FlaskClient, base_url: str = "http://localhost", prefix: str = "") -> str:
    """Visit the kitchen; return the mark that the page gives to this browser."""
    environ = {"SCRIPT_NAME": prefix}
    return mark_on(browser.get("/kitchen/", base_url=base_url, environ_overrides=environ).text)


def cookies_set(browser: FlaskClient, path: str, base_url: str = "http://localhost") -> list[str]:
    return browser.get(path, base_url=base_url).headers.getlist("Set-Cookie")


@contextmanager
def days_ago(days: float, monkeypatch: Patch) -> Iterator[None]:
    """Sign as if it was some days ago."""
    with monkeypatch.context() as patch:
        then = int(time.time() - days * DAY_SECONDS)
        patch.setattr(TimestampSigner, "get_timestamp", lambda _signer: then)
        yield


# The cookie


@pytest.mark.parametrize(
    ("base_url", "prefix", "name", "path", "is_secure"),
    [
        ("http://localhost", "", "confab", "/", False),
        ("http://localhost", "/chat", "confab", "/chat", False),
        (HTTPS, "", "__Host-confab", "/", True),
        (HTTPS, "/chat", "__Secure-confab", "/chat", True),
    ],
)
def test_the_name_of_the_cookie_depends_on_scheme_and_path(
    app: Flask, base_url: str, prefix: str, name: str, path: str, is_secure: bool
) -> None:
    environ = {"SCRIPT_NAME": prefix}
    answer = app.test_client().get("/kitchen/", base_url=base_url, environ_overrides=environ)

    [cookie] = answer.headers.getlist("Set-Cookie")
    assert cookie.startswith(f"{name}=")
    attributes = cookie.split("; ")[1:]
    assert {"HttpOnly", "SameSite=Lax", f"Path={path}"} <= set(attributes)
    assert ("Secure" in attributes) == is_secure
    assert not any(attribute.startswith("Domain") for attribute in attributes)


@pytest.mark.parametrize("prefix", ["", "/chat"])
def test_an_identity_from_http_is_kept_on_https(app: Flask, prefix: str) -> None:
    browser = app.test_client()
    mark = visit(browser)

    assert visit(browser, HTTPS, prefix) == mark

    assert browser.get_cookie("confab"), "a worker of release 0.1.0 knows no other"
    assert visit(browser, HTTPS, prefix) == mark


def test_the_cookie_with_the_prefix_takes_precedence(app: Flask) -> None:
    browser = app.test_client()
    mark = visit(browser, HTTPS)
    mallory = app.test_client()
    visit(mallory)
    planted = mallory.get_cookie("confab")
    assert planted
    browser.set_cookie("confab", planted.value)

    assert visit(browser, HTTPS) == mark


def test_an_invalid_cookie_does_not_hide_a_valid_one(app: Flask) -> None:
    browser = app.test_client()
    mark = visit(browser)
    browser.set_cookie("__Host-confab", "nonsense")

    assert visit(browser, HTTPS) == mark


def test_a_socket_has_the_identity_of_the_cookie_that_its_page_got(
    app: Flask, open_client: Open
) -> None:
    browser = app.test_client()
    mark = visit(browser)

    assert open_client(browser).join("kitchen")["you"] == {"mark": mark}


def test_a_cookie_is_renewed_once_a_day_while_it_is_used(app: Flask, monkeypatch: Patch) -> None:
    browser = app.test_client()
    with days_ago(300, monkeypatch):
        mark = visit(browser)

    assert cookies_set(browser, "/robots.txt") == []  # not used there
    assert cookies_set(browser, "/kitchen/qr.svg") == []
    [renewed] = cookies_set(browser, "/kitchen/")
    assert "Expires=" in renewed
    assert cookies_set(browser, "/kitchen/") == []
    assert visit(browser) == mark


def test_a_cookie_that_was_not_renewed_expires(app: Flask, monkeypatch: Patch) -> None:
    browser = app.test_client()
    with days_ago(401, monkeypatch):
        mark = visit(browser)

    assert visit(browser) != mark


@pytest.mark.parametrize("base_url", ["http://localhost", HTTPS])
@pytest.mark.parametrize(
    ("headers", "status", "location"),
    [({}, 303, "/"), ({"Prefer": "return=minimal"}, 204, None)],
    ids=["form", "script"],
)
def test_a_browser_can_be_forgotten(
    app: Flask, base_url: str, headers: dict[str, str], status: int, location: str | None
) -> None:
    browser = app.test_client()
    visit(browser)  # sets the cookie without prefix
    page = browser.get("/kitchen/", base_url=base_url).text
    mark = mark_on(page)
    [csrf] = set(re.findall(r'name="csrf" value="([^"]+)"', page))

    answer = browser.post(
        "/privacy/forget", base_url=base_url, headers=headers, data={"csrf": csrf}
    )

    assert (answer.status_code, answer.location) == (status, location)
    assert (answer.data == b"") == (status == 204)
    for name in ("confab", "__Host-confab"):
        assert browser.get_cookie(name) is None
    assert visit(browser, base_url) != mark


def test_another_site_cannot_make_a_browser_forget(app: Flask) -> None:
    browser = app.test_client()
    mark = visit(browser)

    assert browser.post("/privacy/forget", data={"csrf": "x" * 40}).status_code == 400
    assert browser.post("/privacy/forget").status_code == 400
    assert browser.get("/privacy/forget").status_code in (404, 405)

    assert visit(browser) == mark


# Tokens


def test_a_token_is_renewed_with_every_connection(
    open_client: Open, kitchen: str, monkeypatch: Patch
) -> None:
    with days_ago(399, monkeypatch):
        first = open_client().join(kitchen)["you"]

    second = open_client(token=first["token"]).join(kitchen)["you"]

    assert second["mark"] == first["mark"]
    assert second["token"] != first["token"]


def test_a_token_expires_when_it_is_not_used(
    open_client: Open, kitchen: str, monkeypatch: Patch
) -> None:
    with days_ago(401, monkeypatch):
        first = open_client().join(kitchen)["you"]

    assert open_client(token=first["token"]).join(kitchen)["you"]["mark"] != first["mark"]


def test_an_untimed_token_of_an_earlier_release_is_accepted_and_replaced(
    app: Flask, open_client: Open, kitchen: str
) -> None:
    author = "0123456789abcdef" * 2
    with app.app_context():
        untimed = URLSafeSerializer(secret_key(), salt="confab-identity").dumps(author)
        mark = journal.get_or_create_room(kitchen).mark(author)

    first = open_client(token=untimed).join(kitchen)["you"]
    second = open_client(token=first["token"]).join(kitchen)["you"]

    assert first["mark"] == second["mark"] == mark
    assert first["token"].count(".") == untimed.count(".") + 1


def test_cookies_and_tokens_live_equally_long(app: Flask) -> None:
    with app.app_context():
        seconds = current_config().cookie_seconds

    assert app.permanent_session_lifetime.total_seconds() == seconds == 400 * DAY_SECONDS


# A real server behind a proxy with https


@pytest.mark.servers
@pytest.mark.parametrize("engine", ["on", "off"])
@pytest.mark.parametrize(
    ("trusted", "name"), [("127.0.0.1", "__Host-confab"), ("192.0.2.1", "confab")]
)
def test_only_a_trusted_proxy_makes_a_connection_secure(
    tmp_path: Path, engine: str, trusted: str, name: str
) -> None:
    headers = {"Host": "localhost", "X-Forwarded-Proto": "https"}
    with gunicorn(tmp_path, ENGINE=engine, FORWARDED_ALLOW_IPS=trusted) as server:
        request = urllib.request.Request(f"{server.url}/kitchen/", headers=headers)
        with urllib.request.urlopen(request, timeout=30) as response:
            mark = mark_on(response.read().decode())
            cookie = str(response.headers["Set-Cookie"])

        assert cookie.startswith(f"{name}=")
        assert ("; Secure;" in f"{cookie};") == (name != "confab")
        with Stranger(
            server.url,
            Host="localhost",
            Origin="https://localhost",
            Cookie=cookie.partition(";")[0],
            X_Forwarded_Proto="https",
        ) as ada:
            assert ada.ask("join", {"label": "kitchen"})["you"] == {"mark": mark}

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
from config import Config
from tests.clients import Stranger
from tests.conftest import Client, Patch
from tests.pages import hidden_fields
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


# Forms of other sites

EVIL = "https://evil.example"
FOREIGN = [
    {"Sec-Fetch-Site": "cross-site", "Origin": EVIL},
    {"Sec-Fetch-Site": "cross-site", "Origin": "null"},
    {"Sec-Fetch-Site": "same-site", "Origin": "https://neighbor.localhost"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "something new"},
    {"Origin": EVIL},
    {"Origin": "http://localhost:8000"},
    {"Origin": "file://"},
]
"""What browsers tell about a form of another site; old ones, and those on http, only the origin."""

UNCERTAIN = [{"Origin": "null"}, {}]
"""What a form of another site and one of a private room have in common, in old browsers."""

OWN = [
    {"Sec-Fetch-Site": "same-origin", "Origin": HTTPS},
    {"Sec-Fetch-Site": "same-origin", "Origin": "null"},
    {"Sec-Fetch-Site": "none"},
    {"Origin": HTTPS},
]


def form_paths(app: Flask) -> list[str]:
    """Return the address of each form, in the kitchen where it belongs to a room."""
    routes = app.url_map.bind("localhost")
    rules = [rule for rule in app.url_map.iter_rules() if "POST" in (rule.methods or ())]
    built = [routes.build(rule.endpoint, {"label": "kitchen"}, "POST") for rule in rules]
    paths = [path.partition("?")[0] for path in built]
    assert {"/new/", "/kitchen/", "/kitchen/moderate", "/kitchen/report"} <= set(paths)
    assert {"/privacy/forget", "/kitchen/your-data/leave", "/kitchen/host"} <= set(paths)
    return paths


def forge(browser: FlaskClient, path: str, headers: dict[str, str]) -> list[str]:
    """Send a form without a valid token; return the cookies that the answer sets."""
    form = {"csrf": "x" * 40, "handle": "Mallory", "message": "hello", "confirm": "yes"}
    answer = browser.post(path, base_url=HTTPS, headers=headers, data=form)
    assert answer.status_code in (400, 403)
    return answer.headers.getlist("Set-Cookie")


@pytest.mark.parametrize("headers", [*FOREIGN, *UNCERTAIN], ids=str)
def test_a_form_of_another_site_does_not_replace_the_identity_whose_cookie_is_withheld(
    app: Flask, kitchen: str, headers: dict[str, str]
) -> None:
    """Browsers send no SameSite=Lax cookie with it, but accept one in the answer."""
    without_cookie = app.test_client(use_cookies=False)

    for path in form_paths(app):
        assert forge(without_cookie, path, headers) == [], path


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
def test_a_form_of_another_site_does_not_change_the_cookie_that_came_with_it(
    app: Flask, kitchen: str, monkeypatch: Patch, headers: dict[str, str]
) -> None:
    browser = app.test_client()
    with days_ago(300, monkeypatch):
        mark = visit(browser, HTTPS)

    for path in form_paths(app):
        assert forge(browser, path, headers) == [], path

    assert visit(browser, HTTPS) == mark


@pytest.mark.parametrize("headers", UNCERTAIN, ids=str)
def test_a_form_that_may_be_of_another_site_keeps_the_identity(
    app: Flask, kitchen: str, headers: dict[str, str]
) -> None:
    browser = app.test_client()
    mark = visit(browser, HTTPS)

    for path in form_paths(app):
        forge(browser, path, headers)

    assert visit(browser, HTTPS) == mark


@pytest.mark.parametrize("headers", OWN, ids=str)
def test_our_own_form_works_again_after_the_cookie_was_lost(
    app: Flask, headers: dict[str, str]
) -> None:
    browser = app.test_client()
    refused = browser.post("/new/", base_url=HTTPS, headers=headers)
    assert refused.status_code == 400
    [csrf] = set(re.findall(r'name="csrf" value="([^"]+)"', refused.text))

    answer = browser.post("/new/", base_url=HTTPS, headers=headers, data={"csrf": csrf})

    assert answer.status_code == 303


def test_a_page_of_a_public_url_behind_a_proxy_is_ours(
    make_app: Callable[[Config], Flask], instance: Path
) -> None:
    """The proxy of this test passes on neither the host nor the scheme."""
    app = make_app(Config(instance=instance, public_url=("https://chat.example.org",)))

    answer = app.test_client().post("/new/", headers={"Origin": "https://chat.example.org"})

    assert answer.headers.getlist("Set-Cookie")


@pytest.mark.parametrize("headers", [*OWN, *UNCERTAIN], ids=str)
def test_the_form_of_a_private_room_remembers_the_name(app: Flask, headers: dict[str, str]) -> None:
    """Its page sends no referrer, so browsers send `null` as the origin of its form."""
    browser = app.test_client()
    room = browser.get("/new/?private=1", base_url=HTTPS).location
    page = browser.get(room, base_url=HTTPS).text
    form = hidden_fields(page) | {"handle": "Ada", "message": "hello"}

    answer = browser.post(room, base_url=HTTPS, headers=headers, data=form)

    assert answer.status_code == 303
    assert 'value="Ada"' in browser.get(room, base_url=HTTPS).text


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

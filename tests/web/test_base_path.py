"""A site below a path of its host: every address that it sends begins with the path."""

import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from chat.web.pages import qr_svg
from chat.web.static_files import static_files
from config import Config, StartupError
from tests.pages import hidden_fields
from tests.servers import ROOT

MakeApp = Callable[[Config], Flask]

ADDRESS = re.compile(r'\s(?:href|src|action|formaction|data-src|data-entry)="([^"]+)"')
HOST = "https://example.org"
PROXY = "127.0.0.1"
CLIENT = "192.0.2.1"


@pytest.fixture
def site(make_app: MakeApp, tmp_path: Path) -> FlaskClient:
    """A browser of the site https://example.org/chat/."""
    config = Config(
        instance=tmp_path / "instance", base_path="/chat", public_url=(HOST,), limits=False
    )
    return make_app(config).test_client()


def get(site: FlaskClient, path: str, **headers: str) -> TestResponse:
    return site.get(path, base_url=HOST, headers=headers)


def post(site: FlaskClient, path: str, **fields: str) -> TestResponse:
    return site.post(path, base_url=HOST, data=fields)


def new_room(site: FlaskClient) -> str:
    """Create a room with the form of the home page; return its path on the host."""
    created = post(site, "/chat/new/", csrf=hidden_fields(get(site, "/chat/").text)["csrf"])
    assert created.status_code == 303
    assert created.location.startswith("/chat/")
    return str(created.location)


def addresses_on(page: str) -> set[str]:
    """Return the addresses on a page that are paths of its host."""
    found = {address for address in ADDRESS.findall(page) if not address.startswith("#")}
    assert found
    return {address for address in found if not urlsplit(address).scheme}


# Pages


def test_every_page_that_can_be_reached_is_below_the_path(site: FlaskClient) -> None:
    room = new_room(site)
    fields = hidden_fields(get(site, room).text)
    posted = post(site, room, **fields, handle="Ada", message="hello")
    assert posted.location == f"{room}#m-1"
    assert get(site, room.removesuffix("/")).location == room
    waiting = {"/chat/", "/chat/nothing/here", "/chat/about", room, f"{room}host"}
    visited: dict[str, TestResponse] = {}

    while waiting - set(visited):
        path = min(waiting - set(visited))
        answer = get(site, path)
        visited[path] = answer
        answer.get_data()  # a download is streamed
        if answer.mimetype == "text/html":
            waiting |= {urljoin(path, each).partition("#")[0] for each in addresses_on(answer.text)}

    assert {path for path in visited if not path.startswith("/chat/")} == set()
    reached = {path.removeprefix(room) for path in visited if path.startswith(room)}
    assert reached >= {"", "settings", "people", "audit", "host", "your-data", "report", "qr.svg"}
    missing = {path for path, answer in visited.items() if answer.status_code == 404}
    assert missing == {"/chat/nothing/here", "/chat/about"}
    assert any(path.startswith("/chat/static/") for path in visited)
    for path, answer in visited.items():
        is_page = answer.mimetype == "text/html" and "Location" not in answer.headers
        if is_page:
            assert '<html lang="en" data-base-path="/chat">' in answer.text, path


def test_forms_lead_back_to_pages_below_the_path(site: FlaskClient) -> None:
    room = new_room(site)
    csrf = hidden_fields(get(site, room).text)["csrf"]

    link = post(site, f"{room}moderate", csrf=csrf, action="host_link").text
    locked = post(site, f"{room}moderate", csrf=csrf, action="lock")
    left = post(site, f"{room}your-data/leave", csrf=csrf)
    reported = post(site, f"{room}report", csrf=csrf, reason="spam")
    forgotten = post(site, "/chat/privacy/forget", csrf=csrf)

    assert f"{HOST}{room}#host=" in link
    assert locked.location.startswith(f"{room}settings")
    assert left.location == forgotten.location == "/chat/"
    assert reported.location.startswith(room)


def test_the_qr_code_and_the_link_of_a_room_contain_the_path(site: FlaskClient) -> None:
    room = new_room(site)

    assert get(site, f"{room}qr.svg").data == qr_svg(f"{HOST}{room}")
    assert get(site, room).text.count(f"{HOST}{room}") == 2


def test_the_home_page_finds_rooms_by_links_below_the_path(site: FlaskClient) -> None:
    for text in (f"{HOST}/chat/kitchen/#m-3", "example.org/chat/kitchen/#m-3"):
        answer = site.get("/chat/", base_url=HOST, query_string={"room": text})
        assert answer.location == "/chat/kitchen/#m-3"


def test_the_manifest_describes_the_site_that_it_is_loaded_from(site: FlaskClient) -> None:
    [address] = [each for each in addresses_on(get(site, "/chat/").text) if "manifest" in each]
    manifest = get(site, address).get_json(force=True)

    assert "id" not in manifest  # then it is `start_url`
    assert urljoin(address, manifest["start_url"]) == "/chat/"
    assert urljoin(address, manifest["scope"]) == "/chat/"
    assert urljoin(address, manifest["shortcuts"][0]["url"]) == "/chat/new/"
    for icon in manifest["icons"]:
        assert get(site, urljoin(address, icon["src"])).status_code == 200


def test_templates_and_scripts_contain_no_address_without_the_path() -> None:
    """Addresses in templates come from `url_for`, those in scripts begin with `basePath`."""
    in_markup = re.compile(r'=\s*["\']?/(?!/)[\w{"\']')
    in_script = re.compile(r"""["'`]/[a-z$]|location\.assign\(["']/""")
    templates = {str(path): path.read_text() for path in (ROOT / "templates").rglob("*.html")}
    scripts = {
        name: content.decode()
        for name, content in static_files().items()
        if name.startswith("js/") and name.endswith(".js")
    }
    examples = re.compile(r"`/me`|\"/chat\"")  # in comments

    assert {name for name, text in templates.items() if in_markup.search(text)} == set()
    assert {
        name for name, text in scripts.items() if in_script.search(examples.sub("", text))
    } == set()


# Requests


@pytest.mark.parametrize("path", ["/chat", "/chat/", "/"])
def test_a_proxy_may_remove_the_path_or_leave_it(site: FlaskClient, path: str) -> None:
    assert "<title>Confab: chat by link</title>" in get(site, path).text


def test_health_checks_answer_with_and_without_the_path(site: FlaskClient) -> None:
    for path in ("/chat/healthz", "/healthz", "/chat/readyz", "/readyz"):
        assert get(site, path).status_code == 200


def test_a_path_that_only_begins_alike_is_not_below_it(site: FlaskClient) -> None:
    assert "<title>chatter · Confab</title>" in get(site, "/chatter/").text


def test_a_room_cannot_have_the_path_as_its_label(site: FlaskClient) -> None:
    assert get(site, "/chat/chat/").status_code == 404
    assert get(site, "/chat/Chat/").status_code == 200


def test_cookies_and_headers_concern_the_path_only(site: FlaskClient) -> None:
    answer = get(site, "/chat/kitchen/")

    [cookie] = answer.headers.getlist("Set-Cookie")
    assert cookie.startswith("__Secure-confab=")
    assert {"Path=/chat", "Secure", "HttpOnly"} <= set(cookie.split("; "))
    assert "Strict-Transport-Security" not in answer.headers
    assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
    redirect = get(site, "/chat/kitchen")
    assert redirect.location == "/chat/kitchen/"
    assert redirect.headers["Cache-Control"] == "no-store"


def test_a_browser_that_had_no_https_is_forgotten_below_the_path(site: FlaskClient) -> None:
    [cookie] = site.get("/chat/kitchen/").headers.getlist("Set-Cookie")
    assert cookie.startswith("confab=")
    value = cookie.partition(";")[0].partition("=")[2]
    site.set_cookie("confab", value, domain="example.org", path="/chat")
    csrf = hidden_fields(get(site, "/chat/kitchen/").text)["csrf"]

    forgotten = post(site, "/chat/privacy/forget", csrf=csrf)

    deleted = [each for each in forgotten.headers.getlist("Set-Cookie") if "Max-Age=0" in each]
    assert {each.partition("=")[0] for each in deleted} >= {"confab"}
    assert all("Path=/chat" in each.split("; ") for each in deleted)


# X-Forwarded-Prefix


def qr_code_for(app: Flask, prefix: str, peer: str) -> bytes:
    """Return the QR code of a room, which contains its address, as a peer gets it."""
    answer = app.test_client().get(
        "/kitchen/qr.svg",
        headers={"X-Forwarded-Prefix": prefix},
        environ_overrides={"REMOTE_ADDR": peer},
    )
    return bytes(answer.data)


@pytest.mark.parametrize("prefix", ["/chat", "/chat/", " /chat "])
@pytest.mark.parametrize("peer", [PROXY, "", "::1", "::ffff:127.0.0.1"])
def test_a_trusted_proxy_names_the_path_that_it_has_removed(
    app: Flask, prefix: str, peer: str
) -> None:
    assert qr_code_for(app, prefix, peer) == qr_svg("http://localhost/chat/kitchen/")


def test_a_path_of_several_parts_is_possible(app: Flask) -> None:
    code = qr_code_for(app, "/tools/chat.v2", PROXY)

    assert code == qr_svg("http://localhost/tools/chat.v2/kitchen/")


def test_a_path_named_by_anybody_else_is_ignored(app: Flask) -> None:
    assert qr_code_for(app, "/chat", CLIENT) == qr_svg("http://localhost/kitchen/")


@pytest.mark.parametrize(
    "prefix",
    [
        "",
        "/",
        "chat",
        "//evil.example",
        "/chat//x",
        "/../x",
        "/.",
        "/a b",
        "/%2e",
        "/ä",
        "/a,/b",
        '/"><script>',
        f"/{200 * 'a'}",
    ],
)
def test_what_is_not_a_plain_path_is_ignored(app: Flask, prefix: str) -> None:
    assert qr_code_for(app, prefix, PROXY) == qr_svg("http://localhost/kitchen/")


def test_the_setting_takes_precedence_over_the_header(site: FlaskClient) -> None:
    answer = get(site, "/chat/kitchen/qr.svg", **{"X-Forwarded-Prefix": "/evil"})

    assert answer.data == qr_svg(f"{HOST}/chat/kitchen/")


# The setting


@pytest.mark.parametrize("value", ["/chat", "/chat/", " /chat"])
def test_a_slash_at_the_end_of_the_setting_makes_no_difference(value: str) -> None:
    assert Config.from_environment({"BASE_PATH": value}).base_path == "/chat"
    assert Config.from_environment({"BASE_PATH": "/"}).base_path == ""


@pytest.mark.parametrize("value", ["chat", "https://example.org/chat", "/a//b", "/../b", "/ä"])
def test_a_setting_that_is_not_a_path_is_refused(value: str) -> None:
    with pytest.raises(StartupError) as refusal:
        Config.from_environment({"BASE_PATH": value})

    assert "write BASE_PATH=/chat for https://example.org/chat/" in refusal.value.sentence

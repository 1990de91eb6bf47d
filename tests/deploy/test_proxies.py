"""Confab behind nginx, HAProxy and Caddy, each with https and its file of deploy/."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import sync_playwright

from tests.browser.conftest import CHROMIUM_OPTIONS, PAGE_TIMEOUT_MS, chromium_path
from tests.browser.test_reading import says
from tests.clients import POLLING, UPGRADE, WEBSOCKET, Node
from tests.deploy.proxies import CERTIFICATE_VARIABLES, PROXIES, HttpsProxy, https_proxy
from tests.servers import ConfabServer, gunicorn

pytestmark = pytest.mark.servers

LARGEST_BODY_BYTES = 64 * 1024
HAS_JOINED = "() => document.querySelector('#room').dataset.joined === 'true'"
NEW_ROOMS = 20
LIMITED: dict[str, Any] = {"LIMITS": "on", "LIMIT_ADDRESS_ROOMS": f"{NEW_ROOMS}, 1/h"}


@dataclass
class Site:
    """A server with the room `kitchen`, and a proxy in front of it."""

    server: ConfabServer
    proxy: HttpsProxy


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConfabServer]:
    """The server behind all proxies."""
    with gunicorn(tmp_path_factory.mktemp("server"), **LIMITED) as started:
        started.room("kitchen")
        yield started


@pytest.fixture(scope="module", params=PROXIES)
def site(
    server: ConfabServer, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """The server behind each proxy, for all tests of this module."""
    folder = tmp_path_factory.mktemp("site")
    with https_proxy(request.param, folder / "proxy", f"127.0.0.1:{server.port}") as proxy:
        yield Site(server, proxy)


@pytest.fixture
def trusted(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let clients in Node and Python trust the proxy's certificate."""
    for name in CERTIFICATE_VARIABLES:
        monkeypatch.setenv(name, str(site.proxy.certificate))


def test_http_is_redirected_to_https(site: Site) -> None:
    location = site.proxy.redirect_of("/kitchen/?a=b")

    assert location is not None
    assert location.replace(f":{site.proxy.https_port}", "") == "https://localhost/kitchen/?a=b"


def test_the_server_knows_that_browsers_use_https(site: Site) -> None:
    page = site.proxy.request("/kitchen/")

    assert page.headers["Set-Cookie"].startswith("__Host-confab=")
    assert "Secure" in page.headers["Set-Cookie"]


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize(
    "transports", [POLLING, WEBSOCKET, UPGRADE], ids=["polling", "websocket", "upgrade"]
)
def test_ada_posts_and_ben_receives(site: Site, transports: tuple[str, ...]) -> None:
    with Node() as node:
        ada = node.person(site.proxy.url, transports)
        ben = node.person(site.proxy.url, transports)
        ada.join("kitchen")
        ben.join("kitchen")
        if transports == UPGRADE:
            assert ben.wait_until("upgrade") == "websocket"

        ada.post("Hello")

        assert [message["message"] for message in ben.hear(1)] == ["Hello"]


def test_a_page_in_a_browser_sends_and_receives(site: Site) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=CHROMIUM_OPTIONS)
        pages = []
        for _ in range(2):
            page = browser.new_context(ignore_https_errors=True).new_page()
            page.set_default_timeout(PAGE_TIMEOUT_MS)
            page.goto(f"{site.proxy.url}/kitchen/")
            page.wait_for_function(HAS_JOINED)
            pages.append(page)

        # The server is that of the other proxies too, where the name is taken.
        text = f"Hello behind {site.proxy.binary}"
        says(pages[0], text, name=site.proxy.binary)

        pages[1].get_by_text(text).wait_for()
        browser.close()


def test_bodies_up_to_the_limit_of_the_server_are_passed_on(site: Site) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}

    assert site.proxy.status("/new/", b"a" * LARGEST_BODY_BYTES, headers=form) not in (0, 413, 502)
    assert site.proxy.status("/new/", b"a" * (LARGEST_BODY_BYTES + 1), headers=form) == 413


def test_clients_have_the_limits_of_their_own_address_whatever_they_send(site: Site) -> None:
    def status_of_new_room(number: int) -> int:
        invented = {"X-Forwarded-For": f"203.0.113.{number}"}
        return site.proxy.status(f"/{site.proxy.binary}-{number}/", headers=invented)

    statuses = [status_of_new_room(number) for number in range(NEW_ROOMS + 1)]

    assert statuses == [200] * NEW_ROOMS + [429]


def test_clients_cannot_name_a_path_below_which_the_server_is(site: Site) -> None:
    page = site.proxy.request("/kitchen/", headers={"X-Forwarded-Prefix": "/evil"})

    assert page.headers["Set-Cookie"].startswith("__Host-confab=")

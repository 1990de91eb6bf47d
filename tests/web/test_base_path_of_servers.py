"""Real servers below a path of a host, behind nginx: pages, sockets and identities work."""

import re
import ssl
import urllib.request
from collections.abc import Iterator
from email.message import Message
from itertools import count
from urllib.parse import urljoin

import pytest

from chat.web.pages import qr_svg
from tests.base_path import STYLES, sites_below_a_path
from tests.clients import POLLING, UPGRADE, WEBSOCKET, Node, Person
from tests.pages import embedded_answer

pytestmark = pytest.mark.servers

ROOM_NUMBERS = count(1)


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with sites_below_a_path(tmp_path_factory.mktemp("sites")) as urls:
        yield urls


@pytest.fixture(params=STYLES)
def site(sites: dict[str, str], request: pytest.FixtureRequest) -> str:
    """The URL of a site, without a slash at the end."""
    return sites[request.param]


def get(url: str) -> tuple[bytes, Message]:
    """Return the content and the headers of an answer, after redirects."""
    context = ssl._create_unverified_context()  # the certificate is the test's own
    with urllib.request.urlopen(url, timeout=30, context=context) as response:
        return response.read(), response.headers


def connect(node: Node, site: str, transports: tuple[str, ...], cookie: str) -> Person:
    """Return a client of a site that is connected."""
    host = site.removesuffix("/chat")  # a path in the URL would name a namespace of Socket.IO
    return node.person(
        host, transports, cookie=cookie, path="/chat/socket.io/", rejectUnauthorized=False
    )


def test_pages_files_and_the_qr_code_are_below_the_path(site: str) -> None:
    page, headers = get(f"{site}/kitchen")

    cookie = headers["Set-Cookie"]
    assert cookie.startswith("__Secure-confab=")
    assert {"Path=/chat", "Secure"} <= set(cookie.split("; "))
    files = re.findall(r'(?:href|src)="([^"]*/static/[^"]+)"', page.decode())
    assert all(file.startswith("/chat/static/") for file in files)
    script = next(file for file in files if file.endswith("js/main.js"))
    assert get(urljoin(site, script))[1]["Cache-Control"].startswith("max-age=31536000")
    assert get(f"{site}/kitchen/qr.svg")[0] == qr_svg(f"{site}/kitchen/")
    assert get(f"{site}/healthz")[0].startswith(b'{"ok":true')


@pytest.mark.parametrize(
    "transports", [POLLING, WEBSOCKET, UPGRADE], ids=["polling", "websocket", "upgrade"]
)
def test_a_socket_has_the_identity_of_its_page(site: str, transports: tuple[str, ...]) -> None:
    garden = f"garden-{next(ROOM_NUMBERS)}"
    page, headers = get(f"{site}/{garden}/")
    cookie = headers["Set-Cookie"].partition(";")[0]
    with Node() as node:
        ada = connect(node, site, transports, cookie)
        ben = connect(node, site, transports, "")
        assert ada.join(garden)["you"] == embedded_answer(page.decode())["you"]
        ben.join(garden)
        if transports == UPGRADE:
            assert ada.wait_until("upgrade") == "websocket"

        ada.post("Hello")

        assert [message["message"] for message in ben.hear(1)] == ["Hello"]

"""Where gunicorn can listen: IPv6, both versions of IP, with TLS of its own, and a Unix socket."""

import http.client
import json
import socket
import ssl
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from itertools import count
from pathlib import Path

import pytest

from chat.engine.tcp import plain_address
from chat.web.pages import qr_svg
from tests.clients import POLLING, UPGRADE, WEBSOCKET, Node, Polling, WebSocket
from tests.pages import embedded_answer
from tests.servers import ConfabServer, _serving
from tests.services import certificate

servers = pytest.mark.servers

GUNICORN = (sys.executable, "-m", "gunicorn", "-k", "eventlet", "-w", "1")
ROOM_NUMBERS = count(1)


class ListeningServer(ConfabServer):
    """A server that is reached at another URL than others, in which `{port}` is its port."""

    def __init__(self, folder: Path, url: str, *options: str, **environment: str) -> None:
        self._url = url

        def command_line(port: int) -> list[str]:
            return [*GUNICORN, *(option.format(port=port) for option in options), "app:app"]

        super().__init__(folder, command_line, **environment)

    @property
    def url(self) -> str:
        """The server's URL, without a slash at the end."""
        return self._url.format(port=self.port)

    def open(self, path: str, **headers: str) -> http.client.HTTPResponse:
        """Request a page; header names have `_` for `-`. The certificate is not checked."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(self.url + path, headers=named)
        context = ssl._create_unverified_context()
        response: http.client.HTTPResponse = urllib.request.urlopen(
            request, timeout=30, context=context
        )
        return response

    def page(self, path: str) -> str:
        """Return the text of a page."""
        with self.open(path) as response:
            return response.read().decode()


def check_exchange_of_messages(server: ListeningServer, transports: tuple[str, ...]) -> None:
    """Check that a client has the identity of its page, and that another one hears it."""
    label = f"kitchen-{next(ROOM_NUMBERS)}"
    with server.open(f"/{label}/") as response:
        cookie = str(response.headers["Set-Cookie"]).partition(";")[0]
        you = embedded_answer(response.read().decode())["you"]
    with Node() as node:
        ada = node.person(server.url, transports, cookie=cookie, rejectUnauthorized=False)
        ben = node.person(server.url, transports, rejectUnauthorized=False)
        assert ada.join(label)["you"] == you
        ben.join(label)
        if transports == UPGRADE:
            assert ada.wait_until("upgrade") == "websocket"

        ada.post("Hello")

        assert [message["message"] for message in ben.hear(1)] == ["Hello"]


# IPv6


@pytest.fixture(scope="module")
def ipv6_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ListeningServer]:
    """A server that listens at every address of both versions, with a limit of two new rooms."""
    folder = tmp_path_factory.mktemp("ipv6")
    limits = {"LIMITS": "on", "LIMIT_ADDRESS_ROOMS": "2/h", "PUBLIC_URL": "http://[2001:db8::5]"}
    server = ListeningServer(folder, "http://[::1]:{port}", "-b", "[::]:{port}", **limits)
    with _serving(server):
        yield server


def status(server: ListeningServer, peer: str, path: str, **headers: str) -> int:
    """Request a page from an address of this machine; return the status."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    with closing(http.client.HTTPConnection(peer, server.port, timeout=30)) as connection:
        connection.request("GET", path, headers=named)
        return connection.getresponse().status


@servers
def test_messages_are_exchanged_over_ipv6(ipv6_server: ListeningServer) -> None:
    check_exchange_of_messages(ipv6_server, WEBSOCKET)


@servers
def test_clients_poll_over_ipv6(ipv6_server: ListeningServer) -> None:
    ipv6_server.room("pantry")
    ada = Polling(ipv6_server.url)  # socket.io-client cannot poll at an IPv6 address in Node

    assert ada.request("POST", '420["join",{"label":"pantry"}]')[0] == 200

    assert '430[{"ok":true' in ada.request("GET")[1].replace(" ", "")


@servers
def test_an_ipv6_address_is_in_brackets_in_links_and_headers(ipv6_server: ListeningServer) -> None:
    with ipv6_server.open("/kitchen/qr.svg") as response:
        assert response.read() == qr_svg(f"http://[::1]:{ipv6_server.port}/kitchen/")
    assert status(ipv6_server, "::1", "/kitchen/qr.svg", Host="[2001:db8::5]") == 200
    assert status(ipv6_server, "::1", "/kitchen/qr.svg", Host="[2001:db8::6]") == 400
    own = f"[::1]:{ipv6_server.port}"
    for origin, expected in ((f"http://{own}", "101"), ("http://[::2]", "400")):
        with closing(WebSocket(ipv6_server.url, Host=own, Origin=origin)) as websocket:
            assert websocket.status == expected


@servers
@pytest.mark.parametrize("proxy", ["::1", "127.0.0.1"])
def test_a_proxy_of_either_version_names_the_address_and_the_scheme(
    ipv6_server: ListeningServer, proxy: str
) -> None:
    number = next(ROOM_NUMBERS)

    def visit(client: str, room: str) -> int:
        return status(ipv6_server, proxy, f"/{room}-{number}/", X_Forwarded_For=client)

    network = f"2001:db8:{number}"
    assert visit(f"{network}::1", "one") == 200
    assert visit(f"{network}::2", "two") == 200
    assert visit(f"{network}:0:ffff::1", "three") == 429
    assert visit(f"{network}:1::1", "four") == 200
    with closing(http.client.HTTPConnection(proxy, ipv6_server.port, timeout=30)) as connection:
        headers = {"X-Forwarded-For": f"{network}:1::1", "X-Forwarded-Proto": "https"}
        connection.request("GET", f"/four-{number}/", headers=headers)
        cookie = str(connection.getresponse().headers["Set-Cookie"])
    assert cookie.startswith("__Host-confab=")


def test_an_ipv4_address_at_a_socket_for_both_versions_is_written_as_ipv4() -> None:
    assert plain_address(("::ffff:192.0.2.1", 5, 0, 0)) == ("192.0.2.1", 5)
    assert plain_address(("2001:db8::1", 5, 0, 0)) == ("2001:db8::1", 5, 0, 0)
    assert plain_address(("192.0.2.1", 5)) == ("192.0.2.1", 5)
    assert plain_address("") == ""


# TLS


@pytest.fixture(scope="module", params=["on", "off"], ids=["engine on", "engine off"])
def tls_server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[ListeningServer, socket.socket]]:
    """A gunicorn that terminates TLS, and a client that never begins its handshake."""
    folder = tmp_path_factory.mktemp("tls")
    certificate_path, key_path = certificate(folder)
    files = ("--certfile", str(certificate_path), "--keyfile", str(key_path))
    server = ListeningServer(
        folder, "https://127.0.0.1:{port}", "-b", "127.0.0.1:{port}", *files, ENGINE=request.param
    )
    with _serving(server), socket.create_connection(("127.0.0.1", server.port)) as silent:
        yield server, silent


@servers
@pytest.mark.parametrize(
    "transports", [POLLING, WEBSOCKET, UPGRADE], ids=["polling", "websocket", "upgrade"]
)
def test_messages_are_exchanged_with_tls_of_gunicorn(
    tls_server: tuple[ListeningServer, socket.socket], transports: tuple[str, ...]
) -> None:
    check_exchange_of_messages(tls_server[0], transports)


@servers
def test_with_tls_of_gunicorn_pages_and_cookies_are_secure(
    tls_server: tuple[ListeningServer, socket.socket],
) -> None:
    server, _ = tls_server
    with server.open("/kitchen/") as page:
        cookie = page.headers["Set-Cookie"]
        assert cookie.startswith("__Host-confab=")
        assert "Secure" in cookie.split("; ")
    with server.open("/kitchen/qr.svg") as code:
        assert code.read() == qr_svg(f"{server.url}/kitchen/")
    with server.open("/kitchen/", Host="localhost.") as page:
        assert page.status == 200


@servers
def test_plain_http_at_the_port_of_tls_is_not_answered(
    tls_server: tuple[ListeningServer, socket.socket],
) -> None:
    server, _ = tls_server
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")

        with suppress(ConnectionResetError):
            assert plain.recv(1) == b""

    assert json.loads(server.page("/healthz"))["ok"]
    assert "Invalid request" not in server.log()


@servers
def test_a_client_that_does_not_begin_the_handshake_is_disconnected(
    tls_server: tuple[ListeningServer, socket.socket],
) -> None:
    _, silent = tls_server
    silent.settimeout(20)

    assert silent.recv(1) == b""


# A Unix socket


@contextmanager
def on_unix_socket(folder: Path, **environment: str) -> Iterator[Path]:
    """Run a server on a Unix socket; yield the path of the socket."""
    path = folder / "confab.sock"
    server = ConfabServer(folder, lambda _port: [*GUNICORN, "-b", f"unix:{path}", "app:app"])
    server.environment |= environment
    server._answers = path.exists
    with _serving(server):
        yield path


def unix_status(path: Path, page: str, client: str) -> int:
    """Request a page over a Unix socket, as a proxy does for a client; return the status."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(30)
        connection.connect(str(path))
        head = f"GET {page} HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: {client}\r\n"
        connection.sendall(f"{head}Connection: close\r\n\r\n".encode())
        with connection.makefile("rb") as stream:
            return int(stream.readline().split()[1])


@servers
def test_over_a_unix_socket_limits_count_the_clients_of_the_proxy(tmp_path: Path) -> None:
    settings = {"LIMITS": "on", "LIMIT_ADDRESS_ROOMS": "1/h", "FORWARDED_ALLOW_IPS": ""}
    with on_unix_socket(tmp_path, **settings) as path:
        assert unix_status(path, "/one/", "203.0.113.1") == 200
        assert unix_status(path, "/two/", "203.0.113.1") == 429
        assert unix_status(path, "/two/", "203.0.113.2") == 200

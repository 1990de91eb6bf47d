"""The request guard: which Host and Origin headers are accepted, by pages and by sockets."""

import http.client
import logging
import re
import socket
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from flask import Flask, request
from werkzeug.test import EnvironBuilder, TestResponse, run_wsgi_app

from chat.web import allowed_hosts, pages
from chat.web.addresses import Address, parse_address, parse_origin
from chat.web.allowed_hosts import AllowedHosts, is_own_ip
from config import Config, StartupError
from tests.clients import WebSocket
from tests.conftest import Log
from tests.servers import SERVERS, ConfabServer

POLLING = "/socket.io/?EIO=4&transport=polling"
WIDE = {"SERVER_NAME": "0.0.0.0", "REMOTE_ADDR": "192.0.2.7"}
NARROW = {"SERVER_NAME": "127.0.0.1", "REMOTE_ADDR": "127.0.0.1"}
UNIX_SOCKET = {"SERVER_NAME": "0.0.0.0", "REMOTE_ADDR": ""}

MALFORMED_HOSTS = [
    "",
    ".",
    "..",
    "a..b",
    ".a",
    "a..",
    f"{'a' * 64}.example",
    f"{'a.' * 127}example",
    "two words",
    "a/b",
    "user@chat.example",
    "chat.example,evil.example",
    "chat.example:0",
    "chat.example:65536",
    "chat.example:080",
    "chat.example:port",
    "b\xfccher.example",
    "[::1",
    "[::g]",
    "[fe80::1%25eth0]",
    "::1",
    "[1.2.3.4]x",
    "<script>",
]


@pytest.fixture
def configured(make_app: Callable[[Config], Flask], tmp_path: Path) -> Callable[..., Flask]:
    """A function that creates an app with settings of the environment."""

    def create(**environ: str) -> Flask:
        return make_app(Config.from_environment({"INSTANCE": str(tmp_path / "i"), **environ}))

    return create


def visit(app: Flask, path: str, host: str, origin: str = "", **environ: str) -> TestResponse:
    headers = {"Host": host}
    if origin:
        headers["Origin"] = origin
    return app.test_client().get(path, headers=headers, environ_overrides=environ)


# Host


@pytest.mark.parametrize("host", MALFORMED_HOSTS, ids=lambda host: repr(host)[:20])
def test_a_malformed_host_is_a_bad_request(
    configured: Callable[..., Flask], host: str, caplog: Log
) -> None:
    app = configured(ALLOWED_HOSTS="*")  # malformed hosts are refused even so

    for path in ("/", "/kitchen/", "/healthz", "/static/x/y", POLLING):
        assert visit(app, path, host).status_code == 400

    assert "Traceback" not in caplog.text


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LocalHost:5000",
        "localhost.",
        "chat.localhost",
        "127.0.0.1:5000",
        "127.1.2.3",
        "[::1]:5000",
        "[0:0:0:0:0:0:0:1]",
        "[::ffff:127.0.0.1]",
    ],
)
def test_loopback_is_always_allowed(app: Flask, host: str) -> None:
    for environ in ({}, WIDE, UNIX_SOCKET):
        assert visit(app, "/", host, **environ).status_code == 200
        assert visit(app, POLLING, host, **environ).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "203.0.113.77", "0.0.0.0"],
)
def test_another_host_is_refused_with_the_setting_that_allows_it(app: Flask, host: str) -> None:
    for environ in ({}, WIDE, UNIX_SOCKET):
        for path in ("/", "/kitchen/", "/new/", "/kitchen/qr.svg", "/static/x/y"):
            page = visit(app, path, f"{host}:8000", **environ)
            assert page.status_code == 400
            assert f"<code>PUBLIC_URL=http://{host}:8000</code>" in page.text
            assert page.headers["Cache-Control"] == "no-store"

        answer = visit(app, POLLING, f"{host}:8000", **environ)
        assert answer.status_code == 400
        assert answer.json
        assert answer.json["code"] == "host_refused"
        assert answer.json["message"].endswith(f" PUBLIC_URL=http://{host}:8000")


def test_the_page_of_a_refused_host_has_its_style_and_nothing_else(app: Flask) -> None:
    page = visit(app, "/", "evil.example")

    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    assert "Set-Cookie" not in page.headers
    assert len(re.findall("<p>", page.text)) == 1


def test_the_suggested_setting_has_the_scheme_that_a_proxy_reports(app: Flask) -> None:
    headers = {"Host": "chat.example", "X-Forwarded-Proto": "https"}

    page = app.test_client().get("/", headers=headers)

    assert "PUBLIC_URL=https://chat.example<" in page.text


def test_health_checks_are_answered_for_every_valid_host(app: Flask) -> None:
    for path in ("/healthz", "/readyz", "/healthz/"):
        assert visit(app, path, "10.1.2.3:8080").status_code in (200, 404)
    assert visit(app, "/healthz", "10.1.2.3:8080").status_code == 200


def test_health_checks_of_http_1_0_need_no_host(app: Flask) -> None:
    def status_without_host(path: str, protocol: str) -> str:
        environ = EnvironBuilder(path).get_environ()
        del environ["HTTP_HOST"]
        environ["SERVER_PROTOCOL"] = protocol
        return run_wsgi_app(app.wsgi_app, environ)[1]

    assert status_without_host("/healthz", "HTTP/1.0") == "200 OK"
    assert status_without_host("/readyz", "HTTP/1.0") == "200 OK"
    assert status_without_host("/healthz", "HTTP/1.1") == "400 BAD REQUEST"
    assert status_without_host("/", "HTTP/1.0") == "400 BAD REQUEST"
    assert status_without_host(POLLING, "HTTP/1.0") == "400 BAD REQUEST"


@pytest.mark.parametrize(
    "host",
    ["chat.example", "CHAT.example:443", "chat.example:", "chat.example.", "b.test:81", "in_house"],
)
def test_public_urls_are_allowed_without_case_and_default_ports(
    configured: Callable[..., Flask], host: str
) -> None:
    app = configured(PUBLIC_URL="https://Chat.example/, http://b.test:81, http://in_house")

    assert visit(app, "/", host).status_code == 200
    assert visit(app, POLLING, host).status_code == 200
    for other in ("chat.example:81", "b.test", "example", "a.chat.example"):
        assert visit(app, "/", other).status_code == 400


def test_a_public_url_may_be_international(configured: Callable[..., Flask]) -> None:
    app = configured(PUBLIC_URL="https://b\xfccher.example")

    assert visit(app, "/", "xn--bcher-kva.example").status_code == 200


@pytest.mark.parametrize(
    "name",
    ["HEROKU_APP_DEFAULT_DOMAIN_NAME", "RENDER_EXTERNAL_HOSTNAME", "RAILWAY_PUBLIC_DOMAIN"],
)
def test_the_name_that_a_platform_announces_is_allowed(
    configured: Callable[..., Flask], name: str
) -> None:
    app = configured(**{name: "chat.platform.example"})

    assert visit(app, "/", "chat.platform.example").status_code == 200
    origin = "https://chat.platform.example"
    assert visit(app, POLLING, "chat.platform.example", origin).status_code == 200


def test_allowed_hosts_can_be_switched_off(configured: Callable[..., Flask]) -> None:
    app = configured(ALLOWED_HOSTS="*")

    assert visit(app, "/", "any.example").status_code == 200
    assert visit(app, POLLING, "any.example", "http://any.example").status_code == 200
    assert visit(app, POLLING, "any.example", "http://evil.example").status_code == 400


def test_own_addresses_are_allowed_when_other_machines_can_connect() -> None:
    name = socket.gethostname().lower()
    hosts = AllowedHosts([])

    for own in (name, f"{name.partition('.')[0]}.local"):
        address = parse_address(f"{own}:5000")
        assert address
        assert hosts.allows_host(address, WIDE)
        assert hosts.allows_host(address, WIDE | {"SERVER_NAME": "203.0.113.77"})
        assert not hosts.allows_host(address, NARROW)
        assert not hosts.allows_host(address, UNIX_SOCKET)


def test_an_own_ip_is_allowed_only_when_other_machines_can_connect(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hosts = AllowedHosts([])
    address = Address("203.0.113.77", None)
    assert not hosts.allows_host(address, WIDE)

    monkeypatch.setattr(allowed_hosts, "is_own_ip", lambda asked: asked == address)

    assert hosts.allows_host(address, WIDE)
    assert not hosts.allows_host(address, NARROW)
    assert not hosts.allows_host(address, UNIX_SOCKET)


def test_an_ip_is_own_when_this_machine_has_it() -> None:
    def is_own(ip: str) -> bool:
        return is_own_ip(Address(ip, None))

    assert is_own("127.0.0.1")
    for other in ("203.0.113.77", "2001:db8::1", "0.0.0.0", "::", "224.0.0.1", "evil.example"):
        assert not is_own(other)


# Origin


def test_a_page_of_the_same_address_may_open_a_socket(app: Flask) -> None:
    for origin in ("http://localhost:5000", "HTTP://LOCALHOST:5000", "https://localhost:5000"):
        assert visit(app, POLLING, "localhost:5000", origin).status_code == 200
    for host in ("localhost", "localhost:80", "localhost:443"):
        for origin in ("http://localhost", "https://localhost"):
            assert visit(app, POLLING, host, origin).status_code == 200


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "http://localhost",
        "http://localhost:5001",
        "http://127.0.0.1:5000",
        "http://localhost:5000.evil.example",
        "http://localhost:5000, http://localhost:5000",
        "http://evil.example@localhost:5000",
        "ftp://localhost:5000",
        "localhost:5000",
        "null",
        "http://",
        "<script>",
    ],
)
def test_another_page_may_not_open_a_socket(app: Flask, origin: str) -> None:
    for method in ("GET", "POST", "OPTIONS"):
        answer = app.test_client().open(
            POLLING, method=method, headers={"Host": "localhost:5000", "Origin": origin}
        )
        assert answer.status_code == 400
        assert answer.json
        assert answer.json["code"] == "origin_refused"
        assert "Access-Control-Allow-Origin" not in answer.headers


def test_a_page_over_http_may_not_open_a_socket_over_https(app: Flask) -> None:
    https = {"wsgi.url_scheme": "https"}

    assert visit(app, POLLING, "localhost", "https://localhost", **https).status_code == 200
    assert visit(app, POLLING, "localhost", "http://localhost", **https).status_code == 400


def test_the_refusal_of_a_page_has_the_setting_that_allows_it(
    configured: Callable[..., Flask],
) -> None:
    # As behind a proxy that replaces the Host header.
    app = configured()
    answer = visit(app, POLLING, "127.0.0.1:5000", "https://chat.example:8443")
    assert answer.json
    setting = answer.json["message"].rpartition(" ")[2]
    assert setting == "PUBLIC_URL=https://chat.example:8443"

    name, _, value = setting.partition("=")
    app = configured(**{name: value})

    assert visit(app, POLLING, "127.0.0.1:5000", "https://chat.example:8443").status_code == 200
    assert visit(app, POLLING, "127.0.0.1:5000", "http://chat.example:8443").status_code == 400


# Forwarding headers


def test_forwarding_headers_of_clients_have_no_effect(app: Flask) -> None:
    headers = {
        "Host": "localhost",
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Port": "1",
        "X-Forwarded-Prefix": "/evil",
        "Forwarded": "host=evil.example;proto=https",
    }

    client = {"REMOTE_ADDR": "192.0.2.1"}
    code = app.test_client().get("/kitchen/qr.svg", headers=headers, environ_overrides=client)
    assert code.data == pages.qr_svg("http://localhost/kitchen/")
    del headers["X-Forwarded-Prefix"]  # the only one of them that a trusted proxy may send
    code = app.test_client().get("/kitchen/qr.svg", headers=headers)
    assert code.data == pages.qr_svg("http://localhost/kitchen/")

    for origin in ("http://evil.example", "https://evil.example"):
        answer = app.test_client().get(POLLING, headers={**headers, "Origin": origin})
        assert answer.status_code == 400


def test_the_address_of_a_client_is_passed_on(app: Flask) -> None:
    seen: list[str] = []
    app.before_request_funcs.setdefault(None, []).append(
        lambda: seen.append(request.headers.get("X-Forwarded-For", ""))
    )

    app.test_client().get("/", headers={"X-Forwarded-For": "203.0.113.77"})

    assert seen == ["203.0.113.77"]


@pytest.mark.parametrize("name", ["Script-Name", "Path-Info"])
def test_a_client_cannot_set_variables_of_the_server(app: Flask, name: str) -> None:
    for path in ("/", "/healthz", POLLING):
        answer = app.test_client().get(path, headers={name: "/evil"})
        assert answer.status_code == 400


@pytest.mark.parametrize("path", ["/", "/kitchen/", "/new/", "/healthz", "/no/page", "/socket.io/"])
def test_a_query_that_is_not_utf8_is_a_bad_request(app: Flask, path: str, caplog: Log) -> None:
    for query in ("x=\xe9", "\xff", "before=\xc3", "EIO=4&transport=polling&sid=\xe9"):
        answer = app.test_client().get(path, environ_overrides={"QUERY_STRING": query})
        assert answer.status_code == 400

    assert "Traceback" not in caplog.text


def test_a_query_in_utf8_need_not_be_escaped(app: Flask) -> None:
    in_utf8 = "room=küche".encode().decode("latin-1")

    answer = app.test_client().get("/", environ_overrides={"QUERY_STRING": in_utf8})

    assert answer.location == "/kuche/"


def test_a_public_url_with_https_makes_its_requests_secure(
    configured: Callable[..., Flask],
) -> None:
    app = configured(PUBLIC_URL="https://chat.example,http://both.example,https://both.example")

    for host, scheme in [
        ("chat.example", "https"),
        ("both.example", "http"),
        ("localhost", "http"),
    ]:
        code = visit(app, "/kitchen/qr.svg", host)
        assert code.data == pages.qr_svg(f"{scheme}://{host}/kitchen/")


# Settings and log


@pytest.mark.parametrize(
    "url",
    [
        "chat.example",
        "ftp://chat.example",
        "https://chat.example/kitchen",
        "https://ada@chat.example",
        "https://chat..example",
        "https://",
        "https://chat.example:99999",
    ],
)
def test_an_invalid_public_url_is_refused_at_the_start(
    configured: Callable[..., Flask], url: str
) -> None:
    with pytest.raises(StartupError) as error:
        configured(PUBLIC_URL=url)

    assert f"PUBLIC_URL={url} is not" in error.value.sentence


def test_refused_requests_are_logged_once_in_a_while_and_escaped(app: Flask, caplog: Log) -> None:
    with caplog.at_level(logging.WARNING):
        for _ in range(50):
            visit(app, "/", "a..b\x1b[31m" + "x" * 10_000)
            visit(app, "/", "evil.example")

    [line] = caplog.messages
    assert "\x1b" not in line
    assert len(line) < 500


def test_addresses_and_origins_are_written_as_they_are_read() -> None:
    for text in ("localhost", "localhost:5000", "203.0.113.77:8000", "[2001:db8::1]:8000", "[::1]"):
        assert str(parse_address(text)) == text
        assert str(parse_origin(f"https://{text}")) == f"https://{text}"


# Real servers


@pytest.mark.servers
@pytest.mark.parametrize("start", SERVERS.values(), ids=SERVERS.keys())
def test_every_server_refuses_other_hosts_and_pages(
    start: Callable[..., AbstractContextManager[ConfabServer]], tmp_path: Path
) -> None:
    with start(tmp_path) as server:  # which fails at a traceback in the log
        own = f"127.0.0.1:{server.port}"
        for hosts in (["a..b"], ["."], ["a" * 64], ["evil.example"], [own, own], [own, "evil"], []):
            assert status(server, "/", Host=hosts) == 400
            assert status(server, POLLING, Host=hosts) == 400
        prefix = ["/kitchen"]
        assert status(server, "/kitchen/qr.svg", Host=[own], SCRIPT_NAME=prefix) == 200
        assert status(server, "/kitchen/qr.svg", Host=[own], **{"SCRIPT-NAME": prefix}) == 400

        with WebSocket(server.url, Origin=server.url) as websocket:
            assert websocket.status == "101"
        for headers in (
            {"Origin": "http://evil.example"},
            {"Origin": f"http://127.0.0.1:{server.port + 1}"},
            {"Origin": "http://evil.example", "X_Forwarded_Host": "evil.example"},
            {
                "Origin": "https://evil.example",
                "X_Forwarded_Proto": "https",
                "Host": "evil.example",
            },
            {"Origin": "null"},
            {"Host": "evil.example"},
        ):
            with WebSocket(server.url, **headers) as websocket:
                assert websocket.status == "400"


def status(server: ConfabServer, path: str, **headers: list[str]) -> int:
    """Send a request with these headers only; return the status of the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.putrequest("GET", path, skip_host=True, skip_accept_encoding=True)
    for name, values in headers.items():
        for value in values:
            connection.putheader(name, value)
    connection.endheaders()
    answered_with = connection.getresponse().status
    connection.close()
    return answered_with

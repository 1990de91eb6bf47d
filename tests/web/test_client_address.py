"""The client address: that of the connection, or the one that a trusted proxy names."""

from typing import Any

import pytest

from chat.engine import ADDRESS_KEY
from chat.web.client_address import UNUSABLE_HEADER, ClientAddress
from tests.conftest import Log

DEFAULT = "127.0.0.1,::1"


def address(peer: str, forwarded: str | None = None, trusted: str = DEFAULT) -> str:
    """Return the client address of a request from a peer."""
    environ: dict[str, Any] = {"REMOTE_ADDR": peer}
    if forwarded is not None:
        environ["HTTP_X_FORWARDED_FOR"] = forwarded

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        return [environ[ADDRESS_KEY].encode()]

    middleware = ClientAddress(app, trusted)
    return b"".join(middleware(environ, lambda *_: lambda _: None)).decode()


def test_without_a_proxy_it_is_that_of_the_connection() -> None:
    assert address("192.0.2.1") == "192.0.2.1"


def test_a_client_that_is_no_proxy_cannot_choose_its_address() -> None:
    assert address("192.0.2.1", "203.0.113.7") == "192.0.2.1"
    assert address("192.0.2.1", "203.0.113.7", trusted="") == "192.0.2.1"
    assert address("127.0.0.1", "203.0.113.7", trusted="") == "127.0.0.1"


@pytest.mark.parametrize("proxy", ["127.0.0.1", "::1", "::ffff:127.0.0.1", ""])
def test_a_trusted_proxy_or_a_unix_socket_names_it(proxy: str) -> None:
    assert address(proxy, "203.0.113.7") == "203.0.113.7"


def test_networks_of_proxies_are_trusted() -> None:
    assert address("10.1.2.3", "203.0.113.7", trusted="192.0.2.1, 10.0.0.0/8") == "203.0.113.7"
    assert address("11.1.2.3", "203.0.113.7", trusted="192.0.2.1, 10.0.0.0/8") == "11.1.2.3"


@pytest.mark.parametrize("trusted", [DEFAULT, "*", "127.0.0.1,10.0.0.0/8"])
def test_what_a_client_wrote_before_its_own_address_is_ignored(trusted: str) -> None:
    assert address("127.0.0.1", "198.51.100.1, 203.0.113.7", trusted) == "203.0.113.7"
    assert address("127.0.0.1", "127.0.0.1,nonsense,203.0.113.7", trusted) == "203.0.113.7"


def test_proxies_behind_each_other_are_skipped() -> None:
    trusted = "127.0.0.1,10.0.0.0/8"

    assert address("127.0.0.1", "198.51.100.1, 203.0.113.7, 10.0.0.2", trusted) == "203.0.113.7"
    assert address("127.0.0.1", "10.0.0.3, 10.0.0.2", trusted) == "10.0.0.3"


@pytest.mark.parametrize(
    ("written", "counted"),
    [
        ("203.0.113.7:4711", "203.0.113.7"),
        ("[2001:db8:1:2:3:4:5:6]:4711", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:DB8:1:2::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("203.0.113.7, ,", "203.0.113.7"),
    ],
)
def test_every_way_to_write_an_address_is_understood(written: str, counted: str) -> None:
    assert address("127.0.0.1", written) == counted


def test_addresses_of_one_ipv6_network_count_as_one() -> None:
    assert address("2001:db8:1:2::1") == address("2001:db8:1:2:ffff::1")
    assert address("2001:db8:1:2::1") != address("2001:db8:1:3::1")


@pytest.mark.parametrize("forwarded", [None, "", " "])
def test_a_trusted_proxy_without_the_header_names_no_address(forwarded: str | None) -> None:
    assert address("127.0.0.1", forwarded) == ""


@pytest.mark.parametrize("forwarded", ["unknown", "nonsense", ",", "1.2.3", "192.0.2.1, unknown"])
def test_clients_whose_header_is_unusable_share_one_address(forwarded: str) -> None:
    assert address("127.0.0.1", forwarded) == UNUSABLE_HEADER


def test_a_missing_header_is_reported_once(caplog: Log) -> None:
    middleware = ClientAddress(lambda *_: [], DEFAULT)

    for _ in range(3):
        middleware.address_of({"REMOTE_ADDR": "127.0.0.1"})

    [record] = caplog.records
    assert "X-Forwarded-For" in record.getMessage()
    assert "FORWARDED_ALLOW_IPS" in record.getMessage()


def test_a_health_check_without_the_header_is_not_reported(caplog: Log) -> None:
    middleware = ClientAddress(lambda *_: [], DEFAULT, local_paths=["/healthz"])

    middleware.address_of({"REMOTE_ADDR": "127.0.0.1", "PATH_INFO": "/healthz"})
    assert caplog.records == []
    middleware.address_of({"REMOTE_ADDR": "127.0.0.1", "PATH_INFO": "/"})

    assert len(caplog.records) == 1


def test_without_limits_nothing_is_reported(caplog: Log) -> None:
    middleware = ClientAddress(lambda *_: [], DEFAULT, reports_problems=False)

    middleware.address_of({"REMOTE_ADDR": "127.0.0.1"})
    middleware.address_of({"REMOTE_ADDR": "10.0.0.2", "HTTP_X_FORWARDED_FOR": "203.0.113.7"})

    assert caplog.records == []


def test_what_may_be_a_proxy_that_is_not_trusted_is_reported_once(caplog: Log) -> None:
    middleware = ClientAddress(lambda *_: [], DEFAULT)
    middleware.address_of({"REMOTE_ADDR": "10.0.0.2"})
    assert caplog.records == []

    for _ in range(3):
        middleware.address_of({"REMOTE_ADDR": "10.0.0.2", "HTTP_X_FORWARDED_FOR": "203.0.113.7"})

    [record] = caplog.records
    assert "10.0.0.2" in record.getMessage()
    assert "FORWARDED_ALLOW_IPS" in record.getMessage()


def test_flask_run_trusts_no_proxy() -> None:
    environ = {
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_X_FORWARDED_FOR": "203.0.113.7",
        "werkzeug.socket": object(),
    }

    assert ClientAddress(lambda *_: [], DEFAULT).address_of(environ) == "127.0.0.1"


def test_a_request_without_a_peer_has_no_address() -> None:
    assert ClientAddress(lambda *_: [], "").address_of({}) == ""

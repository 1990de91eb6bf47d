"""Two hosts behind each proxy, with its file of deploy/: no client needs a cookie.

Each host has a network of its own.
"""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.clients import POLLING, WEBSOCKET, Stranger
from tests.deploy.network_hosts import HostServer, host_server
from tests.deploy.proxies import CERTIFICATE_VARIABLES, PROXIES, HttpsProxy, https_proxy
from tests.servers import wait_until
from tests.services import UnixRedis, redis
from tests.stock_clients import ClientState, StockClients

pytestmark = pytest.mark.servers

# CLIENTS=40 before pytest chooses how many clients of a kind there are.
CLIENTS = int(os.environ.get("CLIENTS") or 6)
CONNECT_SECONDS = 30.0
RECONNECT_SECONDS = 30.0
KINDS: dict[str, tuple[str, Sequence[str] | None, str]] = {  # library, transports, last transport
    "stock socket.io-client": ("socket.io-client", None, "websocket"),
    "WebSocket only": ("socket.io-client", WEBSOCKET, "websocket"),
    "polling only": ("socket.io-client", POLLING, "polling"),
    "python-socketio": ("python-socketio", None, "websocket"),
}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """The settings of both hosts: they share Redis and, on this machine, SQLite."""
    folder = tmp_path_factory.mktemp("shared")
    with redis(folder / "redis", UnixRedis) as service:
        yield {"INSTANCE": str(folder / "instance"), "REDIS_URL": service.url}


@pytest.fixture(scope="module")
def beta(shared: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostServer]:
    """The host that is never killed, with two workers."""
    with host_server(2, tmp_path_factory.mktemp("beta"), NODE_NAME="beta", **shared) as server:
        server.room("kitchen")
        yield server


@pytest.mark.timeout(180)
@pytest.mark.parametrize("kind", PROXIES)
def test_clients_of_two_hosts_connect_and_survive_the_end_of_one(
    kind: str,
    shared: dict[str, Any],
    beta: HostServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with ExitStack() as stack:
        alpha = stack.enter_context(host_server(1, tmp_path / "alpha", NODE_NAME="alpha", **shared))
        hosts = (alpha.address, beta.address)
        proxy = stack.enter_context(https_proxy(kind, tmp_path / "proxy", *hosts))
        for name in CERTIFICATE_VARIABLES:
            monkeypatch.setenv(name, str(proxy.certificate))
        groups = connect_all(stack, proxy)

        started_at = time.monotonic()
        wait_until(lambda: have_joined(groups), CONNECT_SECONDS, "all clients have connected")
        print(f"{kind}: connected after {time.monotonic() - started_at:.1f} s")  # noqa: T201
        for client in states(groups):
            assert client.connects == 1
            assert client.disconnects == []

        alpha.kill()

        killed_at = time.monotonic()
        with Stranger(beta.url) as ada:
            assert ada.ask("join", {"label": "kitchen"})["ok"]
            assert ada.ask("chat", {"handle": "Ada", "message": kind})["ok"]
        wait_until(
            lambda: all(kind in client.messages for client in states(groups)),
            RECONNECT_SECONDS,
            "all clients are on the other host",
        )
        print(f"{kind}: reconnected after {time.monotonic() - killed_at:.1f} s")  # noqa: T201
        connects = {client.connects for client in states(groups)}
        assert connects > {1}, "each of the hosts had clients"


def connect_all(stack: ExitStack, proxy: HttpsProxy) -> dict[str, StockClients]:
    """Connect clients of each kind through the proxy."""
    groups = {}
    for kind, (library, transports, _) in KINDS.items():
        groups[kind] = stack.enter_context(StockClients(library))
        chosen = None if transports is None else list(transports)
        groups[kind].connect(proxy.url, "kitchen", CLIENTS, transports=chosen)
    return groups


def have_joined(groups: dict[str, StockClients]) -> bool:
    """Return whether every client has joined, over the transport of its kind."""
    return all(groups[kind].have_joined(last) for kind, (_, _, last) in KINDS.items())


def states(groups: dict[str, StockClients]) -> list[ClientState]:
    """Return the state of every client."""
    return [client for clients in groups.values() for client in clients.report()]

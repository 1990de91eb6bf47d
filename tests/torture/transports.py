"""The fault scenarios of TRANSPORTS=all: four workers, and clients of every transport.

The clients of each kind poll only, poll and upgrade, or use only WebSocket, in turn. Those that
post, use the proxy or use cookies are chosen by other divisors, so every combination exists.
"""

from dataclasses import replace

from tests.torture.harness import Scenario, TransportChoice, Transports
from tests.torture.scenarios import SCENARIOS

WORKERS = 4
STOCK_CLIENTS = 12
RECONNECTING_CLIENTS = 500

ALL_OF_PAGES: TransportChoice = (("polling",), ("polling", "websocket"), ("websocket",))
"""Pages would not poll by themselves."""

ALL_OF_STOCK_CLIENTS: TransportChoice = (("polling",), None, ("websocket",))

ALL_TRANSPORTS = Transports(
    pages=ALL_OF_PAGES, node=ALL_OF_STOCK_CLIENTS, python=ALL_OF_STOCK_CLIENTS
)

DEFAULT_OF_NODE = replace(ALL_TRANSPORTS, node=(None,))


def _scenario(number: str) -> Scenario:
    [scenario] = [each for each in SCENARIOS if each.number == number]
    return scenario


def _with_all_transports(scenario: Scenario) -> Scenario:
    return replace(
        scenario,
        title=f"{scenario.title}, all transports",
        workers=WORKERS,
        node_clients=STOCK_CLIENTS,
        python_clients=STOCK_CLIENTS // 2,
        transports=ALL_TRANSPORTS,
    )


def _with_reconnecting_stock_clients(scenario: Scenario) -> Scenario:
    """Return F14 with stock clients instead of most pages."""
    return replace(
        _with_all_transports(scenario),
        title=f"{RECONNECTING_CLIENTS} stock clients are disconnected at once",
        page_clients=30,
        node_clients=RECONNECTING_CLIENTS,
        transports=DEFAULT_OF_NODE,
    )


TRANSPORT_SCENARIOS = (
    _with_all_transports(_scenario("F1")),
    _with_all_transports(_scenario("F3")),
    _with_reconnecting_stock_clients(_scenario("F14")),
    _with_all_transports(_scenario("F17")),
)

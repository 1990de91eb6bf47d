"""Unmodified Socket.IO clients with default options, each library in a process of its own."""

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from tests.servers import ROOT

CLIENTS = {
    "socket.io-client": ["node", "tests/stock_clients.mjs"],
    "python-socketio": [sys.executable, "-m", "tests.stock_clients_python"],
}


@dataclass(frozen=True)
class ClientState:
    """What one client has received until now."""

    applied: int  # the change up to which it is complete
    joined: bool  # it has joined and caught up since it last connected
    connects: int
    answers: int  # to probes
    disconnects: list[str]  # their reasons
    errors: list[str]  # of attempts to connect
    connect_seconds: float | None  # until it was connected for the first time
    connected: bool
    transport: str | None
    messages: list[str]
    broadcasts: list[tuple[int, int]]  # seq, and how often it was broadcast to this client


class StockClients:
    """A process with any number of clients of one library. Each keeps a copy of a room complete."""

    def __init__(self, library: str = "socket.io-client") -> None:
        self._command: Sequence[str] = CLIENTS[library]
        self._count = 0

    def __enter__(self) -> Self:
        assert shutil.which(self._command[0]), f"these tests need {self._command[0]}"
        self._process = subprocess.Popen(
            self._command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.kill()
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._process.pid

    def connect(
        self,
        url: str,
        label: str,
        count: int,
        seconds: float = 0,
        transports: list[str] | None = None,
    ) -> None:
        """Open `count` connections, spread evenly over `seconds`, without waiting for them."""
        self._count += count
        options = {} if transports is None else {"transports": transports}
        self._order("connect", url=url, label=label, count=count, seconds=seconds, options=options)

    def probe(self) -> None:
        """Let every client send a request; `ClientState.answers` counts the answers."""
        self._order("probe")

    def report(self) -> list[ClientState]:
        """Return the state of every client."""
        self._order("report")
        assert self._process.stdout is not None
        return [ClientState(**state) for state in json.loads(self._process.stdout.readline())]

    def have_joined(self, *transports: str, connects: int = 1) -> bool:
        """Return whether all clients have caught up, over one of these transports.

        Each has to have connected at least `connects` times.
        """
        ready = [
            client
            for client in self.report()
            if client.joined and client.connects >= connects and client.transport in transports
        ]
        return len(ready) == self._count

    def _order(self, order: str, **details: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"order": order, **details}) + "\n")
        self._process.stdin.flush()

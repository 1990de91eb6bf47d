"""Unmodified Socket.IO clients with default options: socket.io-client (Node) and python-socketio[client]."""

import json
import shutil
import subprocess
from dataclasses import dataclass
from typing import Any, Self

from tests.servers import HERE

JSON = dict[str, Any]


@dataclass(frozen=True)
class ClientState:
    """What one client has received until now."""

    applied: int  # the change up to which it is complete
    joined: bool  # the last connect has joined and caught up
    connects: int
    answers: int  # to probes
    disconnects: list[str]  # their reasons
    connected: bool
    transport: str | None
    messages: list[str]
    broadcasts: list[tuple[int, int]]  # seq, and how often it was broadcast to this client


class NodeClients:
    """A Node process with any number of socket.io-client connections."""

    def __enter__(self) -> Self:
        node = shutil.which("node")
        assert node, "these tests need node"
        self._process = subprocess.Popen(
            [node, "tests/stock_clients.mjs"], cwd=HERE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.kill()
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()

    def connect(self, url: str, label: str, count: int, seconds: float = 0, **options: Any) -> None:
        """Open so many connections, evenly spread over so many seconds; return at once."""
        self._order("connect", url=url, label=label, count=count, seconds=seconds, options=options)

    def probe(self) -> None:
        """Let every client ask for something; the answers are counted."""
        self._order("probe")

    def report(self) -> list[ClientState]:
        """The state of every client."""
        self._order("report")
        assert self._process.stdout is not None
        return [ClientState(**state) for state in json.loads(self._process.stdout.readline())]

    def _order(self, order: str, **details: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"order": order, **details}) + "\n")
        self._process.stdin.flush()

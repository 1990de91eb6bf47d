"""Unmodified python-socketio clients, driven by tests/stock_clients.py.

Commands arrive on the standard input and reports leave on the standard output, as lines of JSON.
"""

import json
import os
import sys
import threading
import time
from collections import Counter
from contextlib import suppress
from typing import Any

from socketio import Client
from socketio.exceptions import SocketIOError

JSON = dict[str, Any]
ACK_SECONDS = 15.0
CONNECT_SECONDS = 15.0
"""How long a client waits for Socket.IO; the library's own second is short for many at once."""


class PythonClient:
    """A client that keeps its copy of a room complete, as docs/protocol.md describes it."""

    def __init__(self, url: str, label: str, transports: list[str] | None) -> None:
        self._label = label
        self._lock = threading.Lock()  # python-socketio handles each packet on a thread of its own
        self._applied = 0
        self._joined = False
        self._connects = 0
        self._answers = 0
        self._disconnects: list[str] = []
        self._errors: list[str] = []
        self._started_at = time.monotonic()
        self._connect_seconds: float | None = None
        self._rows: dict[int, JSON] = {}  # by seq, each replaced only by a higher rev
        self._broadcasts: Counter[int] = Counter()
        self._client = Client()
        self._client.on("connect", self._enter)
        self._client.on("disconnect", self._note_disconnect)
        self._client.on("connect_error", self._note_error)
        self._client.on("chat", self._note_broadcast)
        self._client.on("change", self._keep)
        options = {"transports": transports, "wait_timeout": CONNECT_SECONDS}
        threading.Thread(target=self._client.connect, args=(url,), kwargs=options).start()

    def probe(self) -> None:
        """Send a request; the answer is counted."""
        # When it is not connected, the report shows that the answer is missing.
        with suppress(SocketIOError):
            self._client.emit("since", {"after": self._applied}, callback=self._note_answer)

    def report(self) -> JSON:
        """Return what the client has received until now, with the keys of ClientState."""
        with self._lock:
            return {
                "applied": self._applied,
                "joined": self._joined,
                "connects": self._connects,
                "answers": self._answers,
                "disconnects": self._disconnects,
                "errors": self._errors,
                "connect_seconds": self._connect_seconds,
                "connected": self._client.connected,
                "transport": self._client.transport() if self._client.connected else None,
                "messages": [row["message"] for row in self._rows.values()],
                "broadcasts": list(self._broadcasts.items()),
            }

    def _enter(self) -> None:
        with self._lock:
            if self._connects == 0:
                self._connect_seconds = time.monotonic() - self._started_at
            self._connects += 1
            self._joined = False
        request: JSON = {"label": self._label}
        if self._applied > 0:
            request["after"] = self._applied
        # When the connection is lost meanwhile, the next one joins again.
        with suppress(SocketIOError):
            answer = self._ask("join", request)
            while answer["upto"] < answer["head"]:
                answer = self._ask("since", {"after": answer["upto"]})
            self._joined = True

    def _ask(self, event: str, data: JSON) -> JSON:
        answer: JSON = self._client.call(event, data, timeout=ACK_SECONDS)
        assert answer["ok"], answer
        for message in answer["messages"]:
            self._keep(message)
        with self._lock:
            self._applied = max(self._applied, answer["upto"])
        return answer

    def _note_answer(self, answer: JSON) -> None:
        if not answer["ok"]:
            return
        with self._lock:
            self._answers += 1

    def _note_disconnect(self, reason: str) -> None:
        with self._lock:
            self._disconnects.append(reason)

    def _note_error(self, error: object) -> None:
        with self._lock:
            self._errors.append(str(error))

    def _note_broadcast(self, message: JSON) -> None:
        with self._lock:
            self._broadcasts[message["seq"]] += 1
        self._keep(message)

    def _keep(self, message: JSON) -> None:
        with self._lock:
            known = self._rows.get(message["seq"])
            if known is None or known["rev"] < message["rev"]:
                self._rows[message["seq"]] = message
            if message["rev"] == self._applied + 1:
                self._applied = message["rev"]


def connect(
    clients: list[PythonClient], url: str, label: str, count: int, seconds: float, options: JSON
) -> None:
    """Open `count` connections, spread evenly over `seconds`."""
    for _ in range(count):
        clients.append(PythonClient(url, label, options.get("transports")))
        time.sleep(seconds / count)


def main() -> None:
    """Carry out the command in each line of the standard input."""
    clients: list[PythonClient] = []
    for line in sys.stdin:
        order = json.loads(line)
        match order.pop("order"):
            case "connect":
                threading.Thread(target=connect, args=(clients,), kwargs=order).start()
            case "probe":
                for client in clients:
                    client.probe()
            case "report":
                sys.stdout.write(json.dumps([client.report() for client in clients]) + "\n")
                sys.stdout.flush()
    os._exit(0)  # the threads of the clients do not end by themselves


if __name__ == "__main__":
    main()

"""A connection that speaks WebDriver BiDi (https://w3c.github.io/webdriver-bidi/)."""

import json
import time
from itertools import count
from typing import Any

import websocket

from tests.browsers.interface import BrowserError

COMMAND_SECONDS = 30.0


class BidiConnection:
    """Sends commands and waits for their results. Keeps events until they are taken."""

    def __init__(self, url: str) -> None:
        # The browser refuses connections of web pages, which it recognizes by an Origin header.
        self._socket = websocket.create_connection(
            url, timeout=COMMAND_SECONDS, suppress_origin=True
        )
        self._ids = count(1)
        self._events: list[dict[str, Any]] = []

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command; return its result. Raises BrowserError when it fails."""
        number = next(self._ids)
        command = {"id": number, "method": method, "params": parameters}
        self._socket.send(json.dumps(command))
        give_up = time.monotonic() + COMMAND_SECONDS
        while time.monotonic() < give_up:
            message = self._receive(method)
            if message.get("id") == number:
                return _result(method, message)
            if message["type"] == "event":
                self._events.append(message)
        raise BrowserError(f"{method} was not answered within {COMMAND_SECONDS:g} seconds")

    def take_events(self) -> list[dict[str, Any]]:
        """Return the events that have arrived since the last call."""
        self.ask("session.status")  # events that were sent before its answer have arrived with it
        taken = self._events
        self._events = []
        return taken

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def _receive(self, method: str) -> dict[str, Any]:
        try:
            message: dict[str, Any] = json.loads(self._socket.recv())
        except (websocket.WebSocketException, OSError) as error:
            raise BrowserError(f"{method} was not answered: {error}") from error
        return message


def _result(method: str, message: dict[str, Any]) -> dict[str, Any]:
    if message["type"] == "error":
        raise BrowserError(f"{method}: {message['error']}: {message['message']}")
    result: dict[str, Any] = message["result"]
    return result

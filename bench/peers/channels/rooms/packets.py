"""The packets of Socket.IO: as many of them as the load generator uses.

A WebSocket message is a packet of Engine.IO. One of type 4 contains a packet of Socket.IO, so that
the text begins with two digits:
https://socket.io/docs/v4/engine-io-protocol/ and https://socket.io/docs/v4/socket-io-protocol/
"""

import json
import re
from dataclasses import dataclass
from typing import Any

OPEN = "0"
PING = "2"
CONNECT = "40"
EVENT = "42"
ACKNOWLEDGEMENT = "43"

PACKET = re.compile(r"(4?\d)(\d*)(.*)", re.DOTALL)


@dataclass(frozen=True)
class Packet:
    """A packet. `number` is that of the acknowledgement which an event requests."""

    kind: str
    data: Any = None
    number: str = ""

    @classmethod
    def decode(cls, text: str) -> "Packet":
        """Parse a packet. Raises ValueError."""
        found = PACKET.fullmatch(text)
        if found is None:
            raise ValueError("not a packet of Socket.IO")
        kind, number, data = found.groups()
        return cls(kind, json.loads(data) if data else None, number)

    def encode(self) -> str:
        """Return the text of the packet."""
        if self.data is None:
            return self.kind
        return f"{self.kind}{self.number}{json.dumps(self.data, separators=(',', ':'))}"

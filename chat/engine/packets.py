"""The JSON that goes over the sockets, in packets of text alone."""

import json
from typing import Any

from socketio.packet import Packet


class StrictJSON:
    """JSON as the standard has it: to write NaN, which would break every page that reads it, raises ValueError."""

    dumps_ = json.JSONEncoder(allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode

    @staticmethod
    def dumps(value: object, **_: Any) -> str:
        return StrictJSON.dumps_(value)

    @staticmethod
    def loads(text: str | bytes, **options: Any) -> Any:
        """Read `text`. Raises ValueError for what is not JSON, or nested deeper than anybody means."""
        try:
            return json.loads(text, **options)
        except RecursionError:
            raise ValueError("nested too deeply") from None


class TextPacket(Packet):  # type: ignore[misc]  # it ships no types
    """A Socket.IO packet that is not searched for binary parts: there are none."""

    uses_binary_events = False

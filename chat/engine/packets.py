"""The JSON and the packets that Socket.IO uses here: strict JSON, and no binary packets."""

import json
from typing import Any

from socketio.packet import Packet


class StrictJSON:
    """JSON as RFC 8259 defines it, without NaN, which browsers cannot parse."""

    _encode = json.JSONEncoder(allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode

    @staticmethod
    def dumps(value: object, **_options: Any) -> str:
        """Return `value` as compact JSON. Raises ValueError."""
        return StrictJSON._encode(value)

    @staticmethod
    def loads(text: str | bytes, **options: Any) -> Any:
        """Parse `text`. Raises ValueError, also when it is nested too deeply."""
        try:
            return json.loads(text, **options)
        except RecursionError:
            raise ValueError("nested too deeply") from None


class TextPacket(Packet):  # type: ignore[misc]  # the library ships no types
    """A Socket.IO packet that is not searched for binary parts, because there are none."""

    uses_binary_events = False

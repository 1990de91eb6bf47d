"""The JSON that goes over the sockets."""

import json
from typing import Any


class StrictJSON:
    """JSON as the standard has it: what we send never contains NaN, which would break every page that reads it."""

    @staticmethod
    def dumps(value: object, **options: Any) -> str:
        """Write `value`. Raises ValueError for NaN and the infinities."""
        return json.dumps(value, allow_nan=False, ensure_ascii=False, **options)

    @staticmethod
    def loads(text: str | bytes, **options: Any) -> Any:
        """Read `text`. Raises ValueError for what is not JSON, or nested deeper than anybody means."""
        try:
            return json.loads(text, **options)
        except RecursionError:
            raise ValueError("nested too deeply") from None

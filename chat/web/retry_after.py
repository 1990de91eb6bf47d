"""The header Retry-After of a refusal."""

import math

from chat.errors import Refusal


def retry_after_headers(refusal: Refusal) -> dict[str, str]:
    """Return the header with the seconds to wait, if the refusal says how long."""
    if refusal.retry_after_ms is None:
        return {}
    return {"Retry-After": str(math.ceil(refusal.retry_after_ms / 1000))}

"""What a client has sent behind its WebSocket handshake, before it was answered.

gunicorn may have read it together with the request.
"""

from typing import Any
from wsgiref.types import StartResponse

from gunicorn.http.wsgi import Response  # type: ignore[import-untyped]  # it has no types


def take_early_bytes(start_response: StartResponse) -> bytes:
    """Return what gunicorn has read behind the current request, which has no body."""
    response: Any = getattr(start_response, "__self__", None)
    if not isinstance(response, Response):
        return b""
    early_bytes: bytes = response.req.unreader.take_buffered()
    return early_bytes

"""Answers a request with a refusal as plain text, before Flask sees it."""

from wsgiref.types import StartResponse

from chat.errors import RateLimited, Refusal
from chat.web.retry_after import retry_after_headers


def refuse(start_response: StartResponse, refusal: Refusal) -> list[bytes]:
    """Answer with 429 or 503, and with Retry-After."""
    reason = str(refusal).encode()
    name = "TOO MANY REQUESTS" if isinstance(refusal, RateLimited) else "SERVICE UNAVAILABLE"
    headers = [
        ("Content-Type", "text/plain"),
        ("Content-Length", str(len(reason))),
        *retry_after_headers(refusal).items(),
    ]
    start_response(f"{refusal.status} {name}", headers)
    return [reason]

"""Answers a request with a refusal, as plain text or JSON, before Flask sees it."""

import json
from wsgiref.types import StartResponse

from chat.errors import RateLimited, Refusal
from chat.web.retry_after import retry_after_headers


def refuse(start_response: StartResponse, refusal: Refusal) -> list[bytes]:
    """Answer with 429 or 503, and with Retry-After; the body is the reason."""
    return _answer(start_response, refusal, "text/plain", str(refusal).encode())


def refuse_as_json(start_response: StartResponse, refusal: Refusal) -> list[bytes]:
    """Answer as `refuse` does; the body is an object with the code and the reason."""
    body = json.dumps({"code": refusal.code, "message": str(refusal)}).encode()
    return _answer(start_response, refusal, "application/json", body)


def _answer(
    start_response: StartResponse, refusal: Refusal, content_type: str, body: bytes
) -> list[bytes]:
    name = "TOO MANY REQUESTS" if isinstance(refusal, RateLimited) else "SERVICE UNAVAILABLE"
    headers = [
        ("Content-Type", content_type),
        ("Content-Length", str(len(body))),
        *retry_after_headers(refusal).items(),
    ]
    start_response(f"{refusal.status} {name}", headers)
    return [body]

"""The forms of our pages: only a browser that got the page from us can send them."""

import json

from flask import Response, request

from chat.errors import BadRequest, Refusal
from chat.identity import is_valid_csrf_token
from chat.payload import MAX_SAFE_INTEGER
from chat.web.retry_after import retry_after_headers
from chat.wire import JSON, ok, refused

CSRF_MESSAGE = (
    "Your session expired; please send again. "
    "Make sure that your browser accepts cookies from this site."
)

MAX_ROW_ID = 2**31 - 1
"""The largest id of a row in a table, except of messages."""


def form_number(field: str, maximum: int = MAX_SAFE_INTEGER, default: str = "") -> int:
    """Return the number in a field of the form. Raises BadRequest."""
    return _parse_number(field, request.form.get(field) or default, maximum)


def query_number(field: str, maximum: int = MAX_SAFE_INTEGER) -> int | None:
    """Return a number of the address; None without one. Raises BadRequest."""
    text = request.args.get(field, "")
    return _parse_number(field, text, maximum) if text else None


def _parse_number(field: str, text: str, maximum: int) -> int:
    is_number = text.isascii() and text.isdigit() and len(text) <= len(str(maximum))
    if not is_number or int(text) > maximum:
        raise BadRequest(f"{field}: this is not a number")
    return int(text)


def check_csrf_token() -> None:
    """Check that the form of this request was sent from a page of ours. Raises BadRequest."""
    if not is_valid_csrf_token(request.form.get("csrf", "")):
        raise BadRequest(CSRF_MESSAGE)


def wants_json() -> bool:
    """Return whether a script has sent this request, which reads JSON instead of a page."""
    return request.headers.get("Accept") == "application/json"


def json_answer(answer: JSON) -> Response:
    """Return what was done as the answer to a script."""
    headers = {"Cache-Control": "no-store"}
    return Response(json.dumps(ok(answer)), headers=headers, mimetype="application/json")


def json_refusal(refusal: Refusal) -> Response:
    """Return a refusal as the answer to a script."""
    text = json.dumps(refused(refusal))
    headers = {"Cache-Control": "no-store", **retry_after_headers(refusal)}
    return Response(text, refusal.status, headers, mimetype="application/json")

"""Pages for people who may not enter a room. They show nothing of it, not even its name."""

from math import ceil

from flask import Response, render_template, request

from chat.errors import Banned, Closed, NotFound, PasswordRequired, Refusal, Removed
from chat.identity import csrf_token
from chat.web.retry_after import retry_after_headers

TITLES: dict[type[Refusal], str] = {
    Banned: "You are banned from this room",
    Closed: "This room is closed",
    PasswordRequired: "This room has a password",
    Removed: "You were removed from this room",
}

PASSWORD_TEXT = "Type the password to see the room. Whoever sent you the link knows it."  # noqa: S105  # no secret
ROOM_ENDPOINT = "pages.room"
POST_ENDPOINT = "pages.post_message"


def is_about_entering(refusal: Refusal) -> bool:
    """Return whether a refusal keeps somebody out of a room, or refuses a password."""
    if type(refusal) in TITLES:
        return True
    return _gives_password() and not isinstance(refusal, NotFound)


def room_refusal_page(refusal: Refusal) -> Response:
    """Return the page of such a refusal.

    The form for a password is sent to the address of the room, because browsers keep the fragment
    of that address: it may lead to a message, or be the secret of a host link. A message that this
    request has sent is shown, so that its author does not lose it.
    """
    asks_password = isinstance(refusal, PasswordRequired) or _gives_password()
    kind: type[Refusal] = type(refusal)
    if kind not in TITLES:
        kind = PasswordRequired
    text = render_template(
        "room_refused.html",
        code=refusal.status,
        title=TITLES[kind],
        text=_text(refusal),
        asks_password=kind is PasswordRequired and asks_password,
        error="" if isinstance(refusal, PasswordRequired) else str(refusal),
        takes_host_link=kind is not Closed,
        stays_here=(request.endpoint or "") in (ROOM_ENDPOINT, POST_ENDPOINT),
        message=_unsent_message(),
        label=(request.view_args or {}).get("label", ""),
        csrf=csrf_token(),
    )
    headers = {"Cache-Control": "no-store", **retry_after_headers(refusal)}
    return Response(text, refusal.status, headers)


def _gives_password() -> bool:
    """Return whether this request sends a password."""
    return request.method == "POST" and (
        request.endpoint == "password.post"
        or (request.endpoint == POST_ENDPOINT and "password" in request.form)
    )


def _unsent_message() -> str:
    """Return the message in the form of this request; an empty text when it sends none."""
    if request.endpoint != POST_ENDPOINT:
        return ""
    return request.form.get("message", "")


def _text(refusal: Refusal) -> str:
    """Return what the page says below its title."""
    if isinstance(refusal, Removed) and refusal.retry_after_ms is not None:
        minutes = ceil(refusal.retry_after_ms / 60_000)
        return f"A host has removed you. You can come back in {_minutes(minutes)}."
    if type(refusal) in TITLES and not isinstance(refusal, PasswordRequired):
        return str(refusal)
    return PASSWORD_TEXT


def _minutes(number: int) -> str:
    return "1 minute" if number == 1 else f"{number} minutes"

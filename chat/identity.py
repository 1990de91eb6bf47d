"""Who a browser is: a random author id in its signed cookie, or in a token without cookies."""

import secrets
from contextlib import suppress

from flask import session
from itsdangerous import (
    BadData,
    Signer,
    URLSafeSerializer,
    URLSafeTimedSerializer,
)

from chat.clock import seconds_since
from chat.current_config import current_config, secret_key
from chat.models import Room, room_mark
from chat.wire import JSON

NONCE_CHARS = 16

MAX_REMEMBERED_ROOMS = 20
"""Rooms that a cookie remembers: the last ones that its browser visited for the first time."""

REMEMBERED_MARK_CHARS = 8
TOKEN_SALT = "confab-token"  # noqa: S105  # no secret: it separates uses of the key
UNTIMED_TOKEN_SALT = "confab-identity"  # noqa: S105  # likewise


def author() -> str:
    """Return the author id of the current browser: 128 bits in 32 hexadecimal digits.

    It is created when it is first needed.
    """
    known: str | None = session.get("author")
    if known is not None:
        return known
    created = secrets.token_hex(16)
    session["author"] = created
    session.permanent = True
    return created


def load_identity(auth: object = None) -> bool:
    """Set the identity of a new connection that has no cookie; return whether it was known before.

    It comes from the token in `auth`; without a valid one, a new identity is created. The client
    gets a new token, which replaces the one it has.
    """
    if "author" in session:
        return is_known()
    match auth:
        case {"token": str(token)}:
            known = _author_in(token)
            if known is not None:
                session["author"] = known
    session["is_known"] = "author" in session
    session["token"] = URLSafeTimedSerializer(secret_key(), salt=TOKEN_SALT).dumps(author())
    return is_known()


def is_known() -> bool:
    """Return whether the identity of this browser or connection has been used before.

    That of a request for a page has, once a form has proved by its CSRF token that the cookie came
    back. Only a connection without cookies can begin with a new identity.
    """
    known: bool = session.get("is_known", True)
    return known


def _author_in(token: str) -> str | None:
    """Return the author id in a token; None when it is not valid, or as old as no cookie can be.

    A token of release 0.1.0 has no time.
    """
    timed = URLSafeTimedSerializer(secret_key(), salt=TOKEN_SALT)
    untimed = URLSafeSerializer(secret_key(), salt=UNTIMED_TOKEN_SALT)
    with suppress(BadData, ValueError):
        try:
            signed, signed_at = timed.loads(token, return_timestamp=True)
        except BadData:
            return str(untimed.loads(token))
        if seconds_since(signed_at) <= current_config().cookie_seconds:
            return str(signed)
    return None


def identity_answer(room: Room) -> JSON:
    """Return what an answer says about this person: their mark, and the token of their identity."""
    answer = {"mark": room.mark(author())}
    if "token" in session:
        answer["token"] = session["token"]
    return answer


def remember_room(label: str) -> None:
    """Note in the cookie that this browser has visited a room.

    The cookie is signed, so it proves that, also to a worker that has just started.
    """
    entries = _remembered_rooms()
    entry = _remembered_entry(label)
    if entry not in entries:
        session["rooms"] = " ".join([*entries, entry][-MAX_REMEMBERED_ROOMS:])


def forget_room(label: str) -> None:
    """Remove a room from what the cookie remembers."""
    entry = _remembered_entry(label)
    session["rooms"] = " ".join(each for each in _remembered_rooms() if each != entry)


def has_visited(label: str) -> bool:
    """Return whether this browser has visited a room, as far as its cookie remembers."""
    return _remembered_entry(label) in _remembered_rooms()


def _remembered_rooms() -> list[str]:
    text: str = session.get("rooms", "")  # short: each connection keeps a copy of its session
    return text.split()


def _remembered_entry(label: str) -> str:
    """Return what the cookie holds of a room: the beginning of its browser's mark there."""
    return room_mark(label, author())[:REMEMBERED_MARK_CHARS]


def csrf_token() -> str:
    """Return a token that a form on our page sends back and another site cannot know.

    It begins with a nonce: pages are compressed together with text of others, so a constant token
    could be guessed from the length of the page.
    """
    nonce = secrets.token_hex(NONCE_CHARS // 2)
    return nonce + _csrf_signer().get_signature(nonce + author()).decode()


def is_valid_csrf_token(token: str) -> bool:
    """Return whether this browser got the token from us."""
    nonce = token[:NONCE_CHARS]
    signature = token[NONCE_CHARS:]
    return _csrf_signer().verify_signature(nonce + author(), signature)


def _csrf_signer() -> Signer:
    return Signer(secret_key(), salt="confab-form")

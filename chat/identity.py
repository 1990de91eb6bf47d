"""Who this browser is: a random number in its signed cookie, or in a token for those who keep no cookies."""

import secrets
from contextlib import suppress

from flask import current_app, session
from itsdangerous import BadData, Signer, URLSafeSerializer

from chat.models import Room
from chat.wire import JSON


def author() -> str:
    """The identity of whoever is asking, made at first need: 128 bits in 32 hexadecimal digits."""
    if "author" not in session:
        session["author"] = secrets.token_hex(16)
        session.permanent = True
    return str(session["author"])


def load_identity(auth: object = None) -> None:
    """At the start of a connection without a cookie: take the identity of the token it brings, else a new one."""
    if "author" in session:
        return
    signer = URLSafeSerializer(current_app.config["SECRET_KEY"], salt="confab-identity")
    match auth:
        case {"token": str(token)}:
            with suppress(BadData, ValueError):
                session["author"] = signer.loads(token)
    session["token"] = signer.dumps(author())


def you(room: Room) -> JSON:
    """What a person may know about themselves here: their mark, and the token that makes them the same person again."""
    return {
        "you": {"mark": room.mark(author())}
        | ({"token": session["token"]} if "token" in session else {})
    }


def csrf_token() -> str:
    """What a form on our page brings back, and one on a page of somebody else cannot know."""
    # Another one each time: a page is compressed together with words of others, and its length must tell nothing.
    once = secrets.token_hex(8)
    return once + _form_signer().get_signature(once + author()).decode()


def is_valid_csrf_token(token: str) -> bool:
    """Whether this came from a form that we gave this browser."""
    return _form_signer().verify_signature(token[:16] + author(), token[16:])


def _form_signer() -> Signer:
    return Signer(current_app.config["SECRET_KEY"], salt="confab-form")

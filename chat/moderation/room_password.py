"""The password of a room: how it is stored, and who has given it.

Hashes are computed by scrypt (RFC 7914) in a real thread, because that takes long. The session of
a person who gave the password holds a proof that depends on the stored hash, so that a new password
has to be given again.
"""

import hmac
import re
import secrets
import unicodedata
from functools import cache
from hashlib import scrypt, sha256

from flask import session

from chat import engine
from chat.current_config import secret_key
from chat.errors import Busy, Empty, TooLong, WrongPassword
from chat.identity import author
from chat.models import Room
from chat.text.visible_text import is_blank

MAX_PASSWORD_CHARS = 128

SALT_BYTES = 16
SCRYPT_N = 2**14
SCRYPT_R = 8
SCRYPT_P = 1
HASH_BYTES = 32

MAX_HASHES_AT_ONCE = 2
"""Hashes that a worker computes at a time. Each takes 16 MiB, and a processor for 50 ms."""

MAX_WAITING_HASHES = 100
"""How many more may wait for their turn: others are refused with Busy."""

PROOF_CHARS = 16
MAX_PROOFS = 20
"""Rooms whose password a session remembers."""

SPACES = re.compile(r"\s")


@cache
def _turns() -> engine.Turns:
    """Return the turns of this process; made late, when the server has patched its locks."""
    return engine.Turns(MAX_HASHES_AT_ONCE, MAX_WAITING_HASHES)


def hash_password(password: str) -> str:
    """Return what is stored of a password: the salt and the hash. Raises Empty, TooLong, Busy."""
    normalized = normalize_password(password)
    if is_blank(normalized):
        raise Empty("The password is empty.")
    if len(normalized) > MAX_PASSWORD_CHARS:
        raise TooLong(f"The password is longer than {MAX_PASSWORD_CHARS} characters.")
    salt = secrets.token_bytes(SALT_BYTES)
    return f"{salt.hex()}${_derive_in_thread(normalized, salt).hex()}"


def is_right_password(password: str, password_hash: str) -> bool:
    """Return whether a password belongs to a stored hash, in constant time. Raises Busy."""
    normalized = normalize_password(password)
    if len(normalized) > MAX_PASSWORD_CHARS:
        return False
    salt, _, expected = password_hash.partition("$")
    derived = _derive_in_thread(normalized, bytes.fromhex(salt))
    return hmac.compare_digest(derived.hex(), expected)


def normalize_password(password: str) -> str:
    """Return a password as it is hashed: the same for all ways to type or paste the same text.

    That is the profile OpaqueString of RFC 8265 (NFC, and every space is the same), without spaces
    at the ends, which are copied by mistake.
    """
    return SPACES.sub(" ", unicodedata.normalize("NFC", password)).strip()


def check_password(room: Room, password: str) -> None:
    """Check a password, and remember that this person knows it. Raises WrongPassword, Busy."""
    if not is_right_password(password, room.rules.password_hash):
        raise WrongPassword
    remember_password(room)


def has_given_password(room: Room) -> bool:
    """Return whether the session proves that this person has given the current password."""
    return _proof(room) in _proofs()


def remember_password(room: Room) -> None:
    """Note in the session that this person knows the password of a room."""
    proof = _proof(room)
    others = [each for each in _proofs() if each != proof]
    session["passwords"] = " ".join([*others, proof][-MAX_PROOFS:])


def forget_password(room: Room) -> None:
    """Remove from the session that this person knows the password of a room."""
    proof = _proof(room)
    session["passwords"] = " ".join(each for each in _proofs() if each != proof)


def _proofs() -> list[str]:
    text: str = session.get("passwords", "")
    return text.split()


def _proof(room: Room) -> str:
    """Return the proof of this person. It is of no use to others, or with another password."""
    text = f"password/{room.label}/{author()}/{room.rules.password_hash}"
    return hmac.new(secret_key().encode(), text.encode(), sha256).hexdigest()[:PROOF_CHARS]


def _derive_in_thread(password: str, salt: bytes) -> bytes:
    """Compute the hash when it is its turn. Raises Busy when too many are waiting."""
    turns = _turns()
    if not turns.enter():
        raise Busy
    try:
        return engine.run_in_thread(_derive, password, salt)
    finally:
        turns.leave()


def _derive(password: str, salt: bytes) -> bytes:
    return scrypt(
        password.encode(), salt=salt, n=SCRYPT_N, r=SCRYPT_R, p=SCRYPT_P, dklen=HASH_BYTES
    )

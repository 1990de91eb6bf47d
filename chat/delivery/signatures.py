"""Signatures of messages in Redis: an HMAC with a key of this installation (RFC 2104).

Whoever can write to Redis, but does not know the secret key, cannot make a worker accept a message.
"""

import hmac
from hashlib import sha256

DIGEST = "sha256"
SIGNATURE_BYTES = 64
"""A SHA-256 digest in hexadecimal digits, in front of the message."""


class MessageSigner:
    """Signs and verifies messages. `purpose` makes the keys of different uses differ.

    `place` is where a message is: the channel on which it is published, or the key under which it
    is stored. It is signed too, so that a message is valid in no other place.
    """

    def __init__(self, secret_key: str, purpose: str) -> None:
        self._key = sha256(f"{purpose}/{secret_key}".encode()).digest()

    def sign(self, message: bytes, place: bytes) -> bytes:
        """Return the message with its signature."""
        return self._signature(message, place) + message

    def verify(self, signed: bytes, place: bytes) -> bytes | None:
        """Return the message without its signature; None if the signature is not ours."""
        signature = signed[:SIGNATURE_BYTES]
        message = signed[SIGNATURE_BYTES:]
        if not hmac.compare_digest(signature, self._signature(message, place)):
            return None
        return message

    def _signature(self, message: bytes, place: bytes) -> bytes:
        # No place contains a NUL, so no two pairs of place and message are signed alike.
        return hmac.digest(self._key, b"%b\0%b" % (place, message), DIGEST).hex().encode()

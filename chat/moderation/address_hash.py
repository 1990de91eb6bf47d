"""Salted hashes of client addresses, for bans. An address itself is never stored."""

import hmac
from hashlib import sha256

from chat.current_config import secret_key

HASH_CHARS = 32


def hash_address(label: str, address: str) -> str:
    """Return the hash of a client address in the room `label`; "" for an unknown address.

    It is different in every room and on every server.
    """
    if not address:
        return ""
    text = f"address/{label}/{address}"
    return hmac.new(secret_key().encode(), text.encode(), sha256).hexdigest()[:HASH_CHARS]

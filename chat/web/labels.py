"""Labels: which texts may name a room in its address."""

import re
import secrets
import string
import unicodedata
from random import SystemRandom

from haikunator import Haikunator
from werkzeug.routing import BaseConverter

RESERVED_LABELS = {
    "about",
    "admin",
    "api",
    "export",
    "files",
    "healthz",
    "help",
    "host",
    "login",
    "metrics",
    "new",
    "privacy",
    "readyz",
    "rooms",
    "security",
    "settings",
    "static",
    "version",
}
"""Labels that no room may have, in any case: other pages have these addresses, or will."""

LABEL_PATTERN = rf"(?!(?i:{'|'.join(sorted(RESERVED_LABELS))})\Z)[A-Za-z0-9_-]{{1,50}}"

LABEL_RULE = (
    "A room name in a link has 1 to 50 characters: letters (A to Z, a to z), digits, hyphens and "
    "underscores. "
    "Some names, such as “about”, “help” and “login”, are reserved."
)

LETTERS_WITHOUT_DECOMPOSITION = str.maketrans(
    {"ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th"}
)

SUFFIX_CHARACTERS = "23456789abcdefghijkmnpqrstuvwxyz"
"""Without 0, 1, l and o, which look like others."""

PRIVATE_CHARACTERS = string.ascii_letters + string.digits
PRIVATE_LENGTH = 22

SUFFIX_LENGTH = 6
"""Of 32 characters each: 30 random bits. The two words have 13, so a label has 43."""


class LabelConverter(BaseConverter):
    """Matches the label of a room in a URL. Case matters."""

    regex = LABEL_PATTERN


def label_converter(base_path: str) -> type[LabelConverter]:
    """Return the converter for the labels of a site below a path; "" is the root of its host.

    The first part of the path is no label: whether a proxy has removed /chat from the path of a
    request, or the room "chat" is asked for, could not be told apart.
    """
    first = base_path.removeprefix("/").partition("/")[0]
    if not first:
        return LabelConverter

    class LabelBelowPath(LabelConverter):
        regex = rf"(?!{re.escape(first)}\Z){LABEL_PATTERN}"

    return LabelBelowPath


def is_valid_label(text: str) -> bool:
    """Return whether a room may have this label."""
    return re.fullmatch(LABEL_PATTERN, text) is not None


def label_from_text(text: str) -> str:
    """Turn words into a label: `My workshop!` becomes `my-workshop`.

    The result is not a valid label if it is too long, reserved, or empty because no letter of the
    text has a counterpart from a to z.
    """
    lowered = text.lower().translate(LETTERS_WITHOUT_DECOMPOSITION)
    letters = unicodedata.normalize("NFKD", lowered)
    without_accents = "".join(each for each in letters if not unicodedata.combining(each))
    without_apostrophes = re.sub("['\u2019]", "", without_accents)
    return re.sub(r"[^a-z0-9_]+", "-", without_apostrophes).strip("-")


def private_label() -> str:
    """Return a label for a private room: 22 random letters and digits, with 130 random bits.

    Punctuation would be cut off where programs find links in texts.
    """
    return "".join(secrets.choice(PRIVATE_CHARACTERS) for _ in range(PRIVATE_LENGTH))


def random_label() -> str:
    """Return a label for a new room that cannot be guessed, such as `quiet-otter-k7wq2m`."""
    haiku = Haikunator()
    haiku.random = SystemRandom()  # its own generator can be predicted from a few labels
    label: str = haiku.haikunate(token_length=SUFFIX_LENGTH, token_chars=SUFFIX_CHARACTERS)
    return label

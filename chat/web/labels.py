"""Labels: which texts may name a room in its address."""

import re

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


class LabelConverter(BaseConverter):
    """Matches the label of a room in a URL. Case matters."""

    regex = LABEL_PATTERN


def is_valid_label(text: str) -> bool:
    """Return whether a room may have this label."""
    return re.fullmatch(LABEL_PATTERN, text) is not None

"""Alternatives for a name that is taken: the same name with a number."""

import re
from collections.abc import Iterator

from chat.text.graphemes import whole_graphemes

FIRST_NUMBER = 2
LAST_NUMBER = 30
NUMBER_AT_END = re.compile(r" \d{1,2}$")


def alternative_names(name: str, max_chars: int) -> Iterator[str]:
    """Return "Ada 2", "Ada 3", ... for "Ada" and for "Ada 2", each of at most `max_chars`."""
    base = NUMBER_AT_END.sub("", name.strip())
    for number in range(FIRST_NUMBER, LAST_NUMBER + 1):
        suffix = f" {number}"
        yield whole_graphemes(base, max_chars - len(suffix)).rstrip() + suffix

"""Graphemes: what a reader takes for one character. The first of a text, and whole ones.

It is correct for letters with accents, emoji and flags. The page's scripts, which have the complete
algorithm of Unicode (https://unicode.org/reports/tr29/), replace it in the few other cases.
"""

import re
import unicodedata

from chat.text.emoji import EMOJI_PATTERN

EMOJI = re.compile(EMOJI_PATTERN)
JOINERS = "\u200c\u200d"


def initial(name: str) -> str:
    """Return the first grapheme of a name, or an empty string."""
    text = name.strip()
    emoji = EMOJI.match(text)
    if emoji is not None:
        return emoji[0]
    end = 1
    while end < len(text) and _extends_grapheme(text[end]):
        end += 1
    return text[:end]


def whole_graphemes(text: str, max_chars: int) -> str:
    """Return the beginning of a text, of at most so many characters, that cuts no grapheme."""
    if len(text) <= max_chars:
        return text
    end = max_chars
    while end > 0 and _is_inside_grapheme(text, end):
        end -= 1
    return text[:end] or text[:max_chars]


def _is_inside_grapheme(text: str, position: int) -> bool:
    """Return whether a grapheme continues at a position."""
    if _extends_grapheme(text[position]) or text[position - 1] in JOINERS:
        return True
    overlapping = (found for found in EMOJI.finditer(text) if found.start() < position)
    return any(position < found.end() for found in overlapping)


def _extends_grapheme(character: str) -> bool:
    return character in JOINERS or unicodedata.category(character).startswith("M")

"""The first grapheme of a text: what a reader takes for one character.

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


def _extends_grapheme(character: str) -> bool:
    return character in JOINERS or unicodedata.category(character).startswith("M")

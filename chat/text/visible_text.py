"""What of a text can be seen: whether there is anything, and how much of it two texts share."""

import re
import unicodedata

INVISIBLE_RANGES = (
    # Default_Ignorable_Code_Point of Unicode: joiners, variation selectors, tags, fillers, ...
    r"\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    r"\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8"
    r"\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
    # Others that are drawn as nothing: annotation characters, the placeholder of an object, a null
    # notehead, the empty Braille pattern, and fillers and controls of two scripts.
    r"\ufff9-\ufffc\U0001d159\u2800\U00016fe4\U00013430-\U00013442"
)
"""The characters that are drawn as nothing, in the form of a regular expression's set."""

INVISIBLE_CHARACTERS = re.compile(f"[{INVISIBLE_RANGES}]+")
BLANK_TEXT = re.compile(rf"[\s{INVISIBLE_RANGES}]*")

FIRST_ACCENT_CLASS = 200
"""Combining classes of Unicode from here on are those of accents; those below are mostly letters
and vowels of other scripts, which distinguish names."""

OVERLAY_CLASS = 1
"""The combining class of strokes through a letter."""

VOWEL_POINT_CLASSES = range(10, 36)
"""The combining classes of Hebrew and Arabic vowel points, which are usually left out."""


def is_blank(text: str) -> bool:
    """Return whether a text is empty or shows nothing but space.

    static/js/lib/text.js has the same rule; tests/vectors/blank_texts.json has examples.
    """
    return BLANK_TEXT.fullmatch(text) is not None


def without_invisible_characters(text: str) -> str:
    """Return a text without the characters that are drawn as nothing."""
    return INVISIBLE_CHARACTERS.sub("", text)


def comparable_text(text: str) -> str:
    """Return a text without case, accents and differences of form; idempotent.

    A text of accents only keeps them.
    """
    folded = unicodedata.normalize("NFKD", text).casefold()
    # Case folding and normalization undo each other in a few characters: Unicode's NFKC_Casefold.
    decomposed = unicodedata.normalize("NFKD", folded).casefold()
    decomposed = unicodedata.normalize("NFKD", decomposed)
    bare = without_accents(decomposed)
    return unicodedata.normalize("NFC", decomposed if is_blank(bare) else bare)


def without_accents(decomposed: str) -> str:
    """Return a decomposed text (NFD or NFKD) without accents and vowel points."""
    return "".join(character for character in decomposed if not _is_accent(character))


def _is_accent(character: str) -> bool:
    combining = unicodedata.combining(character)
    is_point = combining in VOWEL_POINT_CLASSES
    is_enclosing = unicodedata.category(character) == "Me"  # a circle around a letter
    return combining >= FIRST_ACCENT_CLASS or combining == OVERLAY_CLASS or is_point or is_enclosing

"""Skeletons of names: two names with the same skeleton look so alike that they count as the same.

A skeleton is the name without case, accents, invisible characters and differences of white space,
in which each character is replaced by the one that it looks like, by the table of Unicode
(https://www.unicode.org/reports/tr39/). It is for comparing only, and never shown.

Accents do not distinguish names, because readers overlook them. Neither do the vowel points of
Hebrew and Arabic, which writers leave out. Vowel signs of Indic and other scripts do, and so do
digits, punctuation and emoji: "Ada" and "Ada 2" are different names.

"Kai" and "Kal" have the same skeleton, although readers tell a small i from an l. Names are
compared without case, a capital I looks like an l, and what each look like counts as the same:
"Kai" as "KAI", "KAI" as "KAl", and "KAl" as "Kal".
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from functools import lru_cache
from unicodedata import normalize

from chat.text.confusables import CAPITAL_LOOKS, LOOKS, REPLACED_LOOKS
from chat.text.visible_text import comparable_text, without_invisible_characters

MAX_SKELETON_CHARS = 256
"""The length of the column that holds the skeleton."""

MAX_CACHED_SKELETONS = 1_000

ASCII_LETTER = re.compile("[A-Za-z]")

LETTER_PAIRS = {"vv": "w"}
"""Pairs of letters that look like one; the table has only those that a single character is."""


def _translation(table: dict[str, str]) -> dict[int, str]:
    """Return a generated table in the form that `str.translate` takes."""
    return {ord(character): look for look, characters in table.items() for character in characters}


LOOK_OF_LETTER = _translation(LOOKS)
LOOK_OF_CAPITAL = _translation(CAPITAL_LOOKS)
LOOK_OF_REPLACED = _translation(REPLACED_LOOKS)


@lru_cache(maxsize=MAX_CACHED_SKELETONS)
def skeleton(name: str) -> str:
    """Return what a name is compared by. It is idempotent; only that of a blank name is empty."""
    text = normalize("NFKD", without_invisible_characters(name).translate(LOOK_OF_REPLACED))
    if ASCII_LETTER.search(text):
        # A Greek Nu looks like N, but its small form like v: names are compared in their case.
        text = text.translate(LOOK_OF_CAPITAL)
    text = normalize("NFC", comparable_text(text).translate(LOOK_OF_LETTER))
    for pair, letter in LETTER_PAIRS.items():
        text = text.replace(pair, letter)
    return " ".join(text.split())[:MAX_SKELETON_CHARS].rstrip()


def confusable_names(people: Iterable[tuple[str, str]]) -> set[str]:
    """Return the names, of pairs of a mark and a name, that look like the name of another mark."""
    known = [(mark, name) for mark, name in people if mark and name]
    marks_by_skeleton: dict[str, set[str]] = defaultdict(set)
    for mark, name in known:
        marks_by_skeleton[skeleton(name)].add(mark)
    return {name for _, name in known if len(marks_by_skeleton[skeleton(name)]) > 1}

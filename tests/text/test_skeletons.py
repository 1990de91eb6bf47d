"""Names that look alike have the same skeleton, and others have not."""

import subprocess
import sys
import unicodedata
from string import ascii_letters

import pytest
from confusable_homoglyphs.confusables import confusables_data
from hypothesis import given
from hypothesis import strategies as st

from chat.text.skeletons import LOOK_OF_LETTER, MAX_SKELETON_CHARS, confusable_names, skeleton
from chat.text.visible_text import is_blank
from tests.servers import ROOT

LOOKALIKES = [
    ("Ada", "ADA"),
    ("Ada", " Ada "),
    ("Ada", "Ada\u00a0"),
    ("Ada Lovelace", "Ada \u2003 Lovelace"),
    ("Ada", "A\u200dd\u200ca\u200b"),
    ("Ada", "Ada\ufe0f\u2800\u3164"),
    ("Ada", "Ada\U000e0041\U000e007f"),
    ("Ada", "Ad\u00e1"),
    ("Ada", "A\u0308d\u0323a"),
    ("Ada", "Ad\u0430"),
    ("Ada", "\u0410\u0501\u0430"),
    ("Ada", "\u0391da"),
    ("Ada", "\U0001d49cda"),
    ("Ada", "\uff21\uff44\uff41"),
    ("Bob", "\u0412\u041e\u0412"),
    ("Nina", "\u039dINA"),
    ("Hana", "\u0397ANA"),
    ("Ian", "lan"),
    ("Ian", "1an"),
    ("Bill 0", "bI|l O"),
    ("Marie", "Mar\u0131e"),
    ("modern", "modem"),
    ("William", "vvilliam"),
    ("S\u00f8ren", "Soren"),
    ("\u0141ukasz", "Lukasz"),
    ("Gro\u00df", "GROSS"),
    ("\u0130pek", "ipek"),
    ("\u0421\u0442\u0440\u0430\u043d\u0430", "\u0441\u0442\u0440\u0430\u043d\u0410"),
    ("\u0391\u03bb\u03ad\u03be\u03b7\u03c2", "\u03b1\u03bb\u03b5\u03be\u03b7\u03c3"),
    ("\u0623\u062d\u0645\u062f", "\u0627\u062d\u0645\u062f"),
    ("\u05d3\u05bc\u05b8\u05d5\u05b4\u05d3", "\u05d3\u05d5\u05d3"),
    ("\U0001f469\u200d\U0001f4bb", "\U0001f469\U0001f4bb"),
    ("O\u2019Neil", "O'Neil"),
    ("Cy", "\u03f9y"),
    ("Cy", "\u03f2y"),
    ("Yan", "\u03d2an"),
    ("Nina", "\U0001d6b4ina"),
    ("Hana", "\U0001d6aeana"),
    ("Ian", "\u13c6an"),
    ("Ada", "\u1d00da"),
    ("Ben", "\u0299en"),
    ("Ada", "A\u20ddda"),
    ("Ada", "A\u0489da"),
]

DIFFERENT_NAMES = [
    "Ada",
    "Ada 2",
    "Ada 3",
    "Ada 20",
    "Ada!",
    "Ada B.",
    "Ben",
    "Cy",
    "Ada \u2764\ufe0f",
    "\u2764\ufe0f",
    "\U0001f469\u200d\U0001f4bb",
    "\U0001f468\u200d\U0001f4bb",
    "\U0001f44d\U0001f3fd",
    "\U0001f44d\U0001f3ff",
    "\u5f20\u4f1f",
    "\u738b\u4f1f",
    "\u0645\u062d\u0645\u062f",
    "\u0645\u062d\u0645\u0648\u062f",
    "\u0641\u0627\u0637\u0645\u0647",
    "\u0930\u093e\u092e",
    "\u0930\u093e\u092e\u093e",
    "\u0930\u0940\u092e\u093e",
    "\u304b\u304d",
    "\u304c\u304d",
    "\ud558\ub098",
    "\ud558\ub298",
    "\u05d3\u05d5\u05d3",
    "\u0411\u043e\u0440\u0438\u0441",
    "\u0418\u0432\u0430\u043d",
    "\u0395\u03bb\u03ad\u03bd\u03b7",
    "\u0531\u0576\u056b",
    "\u0e2a\u0e21\u0e0a\u0e32\u0e22",
]

CONFUSABLE_TEXT = st.text(
    st.one_of(st.sampled_from([chr(each) for each in LOOK_OF_LETTER]), st.characters(codec="utf-8"))
)


@pytest.mark.parametrize(("name", "other"), LOOKALIKES, ids=ascii)
def test_names_that_look_alike_have_the_same_skeleton(name: str, other: str) -> None:
    assert skeleton(name) == skeleton(other)


def test_every_character_that_looks_like_a_letter_has_its_skeleton() -> None:
    pairs = {
        (letter, homoglyph["c"])
        for letter in ascii_letters
        for homoglyph in confusables_data.get(letter, [])
        if len(homoglyph["c"]) == 1
    }
    pairs.remove(("f", "\u017f"))  # the long s is an s in another case

    assert len(pairs) > 1_200
    for letter, character in pairs:
        assert skeleton(f"Ad{character}") == skeleton(f"Ad{letter}"), ascii(character)


def test_other_names_have_different_skeletons() -> None:
    assert len({skeleton(name) for name in DIFFERENT_NAMES}) == len(DIFFERENT_NAMES)


def test_numbered_names_have_different_skeletons() -> None:
    names = [f"Ada {number}" for number in range(2, 200)]

    assert len({skeleton(name) for name in names}) == len(names)


@given(CONFUSABLE_TEXT)
def test_a_skeleton_is_the_skeleton_of_itself(name: str) -> None:
    found = skeleton(name)

    assert skeleton(found) == found


@given(CONFUSABLE_TEXT)
def test_only_a_blank_name_has_an_empty_skeleton(name: str) -> None:
    assert (skeleton(name) == "") == is_blank(name)


def test_case_makes_no_difference_for_any_letter() -> None:
    letters = [chr(code) for code in range(0x110000) if chr(code).upper() != chr(code).lower()]

    assert len(letters) > 2_000
    for letter in letters:
        assert skeleton(letter.upper()) == skeleton(letter.lower()), ascii(letter)


def test_only_names_of_different_people_are_confusable() -> None:
    people = [("a", "Ada"), ("a", "ADA"), ("b", "Ben"), ("c", "B\u0435n"), ("", ""), ("d", "")]

    assert confusable_names(people) == {"Ben", "B\u0435n"}
    assert confusable_names([]) == set()


def test_a_skeleton_fits_into_its_column() -> None:
    longest = "\ufdfa" * 64
    assert len(unicodedata.normalize("NFKC", longest)) > MAX_SKELETON_CHARS

    assert 0 < len(skeleton(longest)) <= MAX_SKELETON_CHARS


def test_the_table_is_what_the_script_generates() -> None:
    words = [sys.executable, "-m", "bin.confusables", "--check"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=30)

    assert done.returncode == 0, done.stderr

"""Texts that show nothing; tests/js/text.test.mjs has the same examples."""

import json

import pytest

from chat.text.plain_text import is_blank_message
from chat.text.visible_text import comparable_text, is_blank
from tests.conftest import Client
from tests.servers import ROOT

EXAMPLES: dict[str, list[str]] = json.loads(
    (ROOT / "tests" / "vectors" / "blank_texts.json").read_text()
)
BLANK_BUT_EMPTY = [text for text in EXAMPLES["blank"] if text]
TAGS = "\U000e0041\U000e0064\U000e0061"


@pytest.mark.parametrize("text", EXAMPLES["blank"], ids=ascii)
def test_a_text_of_invisible_characters_is_blank(text: str) -> None:
    assert is_blank(text)
    assert is_blank_message(text)


@pytest.mark.parametrize("text", EXAMPLES["visible"], ids=ascii)
def test_a_text_with_something_to_see_is_not_blank(text: str) -> None:
    assert not is_blank(text)
    assert not is_blank_message(text)


@pytest.mark.parametrize("text", ["**\u200b**", "> \u2800", "`\u3164`", "```\n\u200b\n```", "` `"])
def test_a_message_of_markup_around_nothing_is_blank(text: str) -> None:
    assert is_blank_message(text)


@pytest.mark.parametrize("text", ["**", "> ", "***", "~", "**a**", "`\u200b a`"])
def test_a_message_whose_markup_is_shown_is_not_blank(text: str) -> None:
    assert not is_blank_message(text)


def test_long_texts_are_examined_fast() -> None:
    assert not is_blank("\u200b" * 4_000 + "a")
    assert is_blank_message("> \u200b\n" * 1_000)


@pytest.mark.parametrize("text", [*BLANK_BUT_EMPTY, TAGS, "**\u200b**"], ids=ascii)
def test_a_message_that_shows_nothing_is_refused(ada: Client, ben: Client, text: str) -> None:
    answer = ada.post(text)

    assert answer["code"] == "empty"
    assert ben.received() == []


@pytest.mark.parametrize("text", ["\u2800", TAGS, "\u3164"], ids=ascii)
def test_a_name_that_shows_nothing_is_refused(ada: Client, ben: Client, text: str) -> None:
    ada.post("hello")
    ben.received()

    answers = [
        ada.post("hello", handle=text),
        ada.ask("rename", {"handle": text}),
        ada.ask("title", {"name": text}),
        ada.ask("edit", {"seq": 1, "message": text}),
    ]

    assert [answer.get("code") for answer in answers] == ["empty"] * 4
    assert ben.received() == []


def test_what_is_compared_has_no_case_accents_and_forms() -> None:
    assert comparable_text("\u00c5NGSTR\u00d6M") == "angstrom"
    assert comparable_text("\uff21\U0001d41d\u0430\u0301") == "ad\u0430"
    assert comparable_text("\u0301") == "\u0301"

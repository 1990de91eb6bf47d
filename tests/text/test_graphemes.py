"""The initial of a name is what a reader takes for one character."""

import re

import pytest
from flask import Flask

from chat.text.graphemes import initial
from tests.conftest import Client

FLAG = "\U0001f1e9\U0001f1ea"
FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Ada", "A"),
        (" Ada", "A"),
        (f"{FLAG} Ana", FLAG),
        (f"{FAMILY}{FAMILY}", FAMILY),
        ("\U0001f44d\U0001f3fd", "\U0001f44d\U0001f3fd"),
        ("\u2764\ufe0f Ada", "\u2764\ufe0f"),
        ("A\u0301\u0301da", "A\u0301\u0301"),
        ("\u0e01\u0e47\u0e01", "\u0e01\u0e47"),
        ("\u5f20\u4f1f", "\u5f20"),
        ("", ""),
    ],
)
def test_the_initial_is_one_character_for_the_reader(name: str, expected: str) -> None:
    assert initial(name) == expected


def test_the_page_of_a_room_contains_the_initial(app: Flask, ada: Client, kitchen: str) -> None:
    ada.post("hello", handle=f"{FLAG} Ana")

    page = app.test_client().get(f"/{kitchen}/").text

    assert re.findall('data-initial="([^"]*)"', page) == [FLAG]

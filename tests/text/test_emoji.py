"""Emoji: the pattern for messages of emoji agrees with the list of Unicode's emoji."""

import re

import emoji

from chat.text.emoji import EMOJI_PATTERN, MAX_EMOJI_CHARS, is_emoji

SELECTOR = "\ufe0f"
LAST_CHARACTER_OF_THE_FIRST_PLANE = 0xFFFF


def test_every_qualified_emoji_is_accepted_and_matches_the_pattern() -> None:
    qualified = [
        text
        for text, data in emoji.EMOJI_DATA.items()
        if data["status"] == emoji.STATUS["fully_qualified"]
    ]

    assert len(qualified) > 3000
    assert max(len(text) for text in qualified) <= MAX_EMOJI_CHARS
    assert [text for text in qualified if not is_emoji(text)] == []
    assert [text for text in qualified if not re.fullmatch(EMOJI_PATTERN, text)] == []


def test_a_variation_selector_makes_no_emoji_of_another_character() -> None:
    """Beyond the first plane, the pattern covers blocks, in which new emoji will be added."""
    texts = [chr(code) + SELECTOR for code in range(LAST_CHARACTER_OF_THE_FIRST_PLANE + 1)]
    matching = {text for text in texts if re.fullmatch(EMOJI_PATTERN, text)}

    assert {text for text in matching if not is_emoji(text) and not is_emoji(text[0])} == set()
    assert len(matching) > 150

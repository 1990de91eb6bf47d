"""Previews of messages show no Markdown; tests/js/plain_text.test.mjs has the same examples."""

import json

import pytest

from chat.text.plain_text import MAX_PREVIEW_CHARACTERS, first_line
from tests.servers import ROOT

EXAMPLES = json.loads((ROOT / "tests" / "vectors" / "first_lines.json").read_text())


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: repr(example["source"]))
def test_the_first_line_of_a_message_has_no_markdown(example: dict[str, str]) -> None:
    assert first_line(example["source"]) == example["line"]


def test_only_the_beginning_of_a_long_message_is_parsed() -> None:
    assert first_line("😀" * 5000) == "😀" * MAX_PREVIEW_CHARACTERS

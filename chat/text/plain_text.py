"""The text of a message without its Markdown: its first line, and whether there is any.

static/js/lib/plain_text.js is the same in the page. Both have to produce the lines of
tests/vectors/first_lines.json.
"""

import re

from chat.text import markdown
from chat.text.visible_text import INVISIBLE_RANGES, is_blank

MAX_PREVIEW_CHARACTERS = 400
BLOCKS = ("fence", "quote")

MARKUP_ONLY = re.compile(rf"[\s{INVISIBLE_RANGES}*_~`>]*")
"""What may show nothing although it is not blank. Other texts need not be parsed."""


def is_blank_message(source: str) -> bool:
    """Return whether a message shows nothing: it is blank, or only the markup of nothing."""
    if MARKUP_ONLY.fullmatch(source) is None:
        return False
    return is_blank(source) or is_blank(_text_of(markdown.parse(source)))


def first_line(source: str) -> str:
    """Return the first line of a message, without the characters of its Markdown."""
    beginning = source.strip()[:MAX_PREVIEW_CHARACTERS]
    return _text_of(markdown.parse(beginning)).strip().split("\n", 1)[0]


def _text_of(nodes: list[markdown.Node]) -> str:
    return "".join(map(_text_of_node, nodes))


def _text_of_node(node: markdown.Node) -> str:
    """Return the text of a node. A block begins and ends with a line break."""
    if isinstance(node, str):
        return node
    text = _text_of(node.children)
    return f"\n{text}\n" if node.kind in BLOCKS else text

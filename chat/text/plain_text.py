"""The first line of a message without its Markdown, as previews show it.

static/js/lib/plain_text.js is the same in the page. Both have to produce the lines of
tests/vectors/first_lines.json.
"""

from chat.text import markdown

MAX_PREVIEW_CHARACTERS = 400
BLOCKS = ("fence", "quote")


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

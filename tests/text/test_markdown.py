"""Markdown: server and page parse every message to the same tree, and no text becomes HTML."""

import json
import os
import re
import shutil
import subprocess
import time
import timeit
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest
from flask import Flask
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from chat.text import links, markdown
from tests.conftest import JSON, Client
from tests.servers import ROOT
from tests.text.markdown_texts import TEXTS

VECTORS = json.loads((ROOT / "tests" / "vectors" / "markdown.json").read_text())
MAX_PARSE_SECONDS = 0.1

FUZZ_PATTERNS = [
    "{}",
    "http://{}",
    "a*{}*",
    "> {0}\n>> {0}",
    "```{0}\n{0}```",
    "`{}`",
]
"""Where a random text is put, so that it meets every construct often."""

ADDRESS = re.compile(links.ADDRESS)
PUNCTUATION_INSIDE_WORDS = (
    "\xa7\xb7\u055a\u05f3\u05f4\u066b\u066c\u0970\u09fd\u0a76\u0af0\u0c77\u0c84\u0f0b\u0f0c\u2019"
    "\u2027\u30fb\uff65"
)
"""Section signs, middle dots, apostrophes, decimal separators, abbreviation signs, the tsheg."""

FUZZ_EXAMPLES = int(os.environ.get("MARKDOWN_EXAMPLES", "2000"))
FUZZ_SEED = int(os.environ.get("SEED", "1"))


class PageMarkdown:
    """The Markdown parser of the page, in a node process."""

    def __init__(self) -> None:
        node = shutil.which("node")
        assert node, "this test needs node"
        script = Path(__file__).parent / "markdown_trees.mjs"
        self._process = subprocess.Popen(
            [node, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate(timeout=10)

    def parse(self, source: str) -> JSON:
        """Return the tree of a message, and whether it is shown large."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(source) + "\n")
        self._process.stdin.flush()
        parsed: JSON = json.loads(self._process.stdout.readline())
        return parsed


@pytest.fixture(scope="module")
def page_markdown() -> Iterator[PageMarkdown]:
    """The Markdown parser of the page."""
    with PageMarkdown() as running:
        yield running


def as_json(nodes: list[markdown.Node]) -> list[Any]:
    """Return a tree in the form of the test vectors."""
    return [
        node if isinstance(node, str) else [node.kind, as_json(node.children)] for node in nodes
    ]


def test_there_are_many_test_vectors() -> None:
    assert len(VECTORS["trees"]) >= 120


@pytest.mark.parametrize(
    "vector", VECTORS["trees"], ids=lambda vector: json.dumps(vector["source"])
)
def test_the_server_parses_each_test_vector_to_its_tree(vector: dict[str, Any]) -> None:
    assert as_json(markdown.parse(vector["source"])) == vector["tree"]


@pytest.mark.parametrize(
    "vector", VECTORS["large"], ids=lambda vector: json.dumps(vector["source"])
)
def test_only_messages_of_a_few_emoji_are_large(vector: dict[str, Any]) -> None:
    assert markdown.is_emoji_only(vector["source"]) is vector["large"]


@pytest.mark.timeout(600)
@seed(FUZZ_SEED)
@settings(max_examples=FUZZ_EXAMPLES, database=None, deadline=None)
@given(TEXTS)
def test_page_and_server_parse_any_text_to_the_same_tree(
    page_markdown: PageMarkdown, text: str
) -> None:
    for pattern in FUZZ_PATTERNS:
        source = pattern.format(text)
        expected = {
            "tree": as_json(markdown.parse(source)),
            "large": markdown.is_emoji_only(source),
        }

        assert page_markdown.parse(source) == expected, (
            f"{source!a} SEED={FUZZ_SEED} MARKDOWN_EXAMPLES={FUZZ_EXAMPLES}"
        )


def punctuation_beyond_ascii() -> list[str]:
    """Return the opening, closing and other punctuation of all scripts that Python knows."""
    categories = {"Ps", "Pe", "Pi", "Pf", "Po"}
    characters = map(chr, range(0x80, 0x110000))
    return [char for char in characters if unicodedata.category(char) in categories]


def test_punctuation_of_every_script_ends_an_address_in_page_and_server(
    page_markdown: PageMarkdown,
) -> None:
    punctuation = punctuation_beyond_ascii()
    source = "\n".join(f"http://example.org/a{char}b http://{char}a" for char in punctuation)
    assert page_markdown.parse(source)["tree"] == as_json(markdown.parse(source))

    continued = [char for char in punctuation if ADDRESS.fullmatch(f"http://a/{char}b")]

    assert "".join(continued) == PUNCTUATION_INSIDE_WORDS


def test_every_construct_is_rendered_as_html() -> None:
    rendered = markdown.html("> **a** *b*\n```\n<c>\n```\n`d` http://e\u00fc.example/?f&g.")

    assert rendered == (
        "<blockquote><strong>a</strong> <em>b</em></blockquote>"
        '<pre class="fence"><code>&lt;c&gt;</code></pre>'
        "<code>d</code> "
        '<a class="link" href="http://e\u00fc.example/?f&amp;g" target="_blank"'
        ' rel="noopener noreferrer nofollow ugc">'
        'http://<b class="link__host">e\u00fc.example</b>/?f&amp;g</a>.'
    )


@given(st.text(st.sampled_from("ab*`>\n <\"'&/:.()") | st.characters()))
def test_no_text_becomes_html(source: str) -> None:
    rendered = markdown.html(source)

    for part in ("<script", "<img", "javascript:", "onclick"):
        assert part not in rendered or part in source
    for tag in ("strong", "em", "code", "blockquote", "pre", "a", "b"):
        opening_tags = rendered.count(f"<{tag}>") + rendered.count(f"<{tag} ")
        assert opening_tags == rendered.count(f"</{tag}>")


@pytest.mark.parametrize("part", VECTORS["repeated_parts"])
def test_repetitive_text_is_rendered_in_little_time(part: str) -> None:
    """The parts make a parser slow if it looks ahead or back from each of them."""
    source = (part * 4000)[:4000]

    def render() -> None:
        markdown.html(source)
        markdown.is_emoji_only(source)

    # The fastest of three: the garbage collector may run during one of them.
    seconds = min(timeit.repeat(render, timer=time.process_time, number=1, repeat=3))
    assert seconds < MAX_PARSE_SECONDS


def test_the_page_of_a_room_shows_bold_text_links_and_large_emoji(
    app: Flask, ada: Client, kitchen: str
) -> None:
    ada.post("**hello** http://example.org")
    ada.post("\U0001f44d")

    page = app.test_client().get(f"/{kitchen}/").text

    assert "<strong>hello</strong> <a " in page
    assert page.count('data-size="large"') == 1

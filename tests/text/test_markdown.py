"""The server draws text as the page does: both are held to one table."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest
from flask import Flask
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from chat.text import markdown
from tests.conftest import JSON, Client
from tests.markdown_texts import TEXTS

VECTORS = json.loads((Path(__file__).parent / "vectors" / "markdown.json").read_text())
HOSTILE = [
    "*",
    "`",
    "> ",
    ">",
    "*a ",
    "**a *b ",
    "`a``b",
    "http://a",
    "http://a)",
    "(",
    "```\n",
    ">\n",
    "> ```\n",
]
HOSTILE += ["\U0001f44d\u200d", "```\nx```\n"]
FUZZ_EXAMPLES = int(os.environ.get("MARKDOWN_EXAMPLES", "2000"))
FUZZ_SEED = int(os.environ.get("SEED", "1"))


class PageMarkdown:
    """The page's Markdown in a node process that answers each message with its tree."""

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
        """The tree of a message, and whether it is shown large."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(source) + "\n")
        self._process.stdin.flush()
        parsed: JSON = json.loads(self._process.stdout.readline())
        return parsed


@pytest.fixture(scope="module")
def page_markdown() -> Iterator[PageMarkdown]:
    """The page's Markdown, to be compared with the server's."""
    with PageMarkdown() as running:
        yield running


def neutral(nodes: list[markdown.Node]) -> list[Any]:
    return [node if isinstance(node, str) else [node[0], neutral(node[1])] for node in nodes]


def test_the_table_is_long() -> None:
    assert len(VECTORS["trees"]) >= 120


@pytest.mark.parametrize(
    "vector", VECTORS["trees"], ids=lambda vector: json.dumps(vector["source"])
)
def test_it_means_the_same_here(vector: dict[str, Any]) -> None:
    assert neutral(markdown.parse(vector["source"])) == vector["tree"]


@pytest.mark.parametrize(
    "vector", VECTORS["large"], ids=lambda vector: json.dumps(vector["source"])
)
def test_emoji_alone_are_large(vector: dict[str, Any]) -> None:
    assert markdown.is_emoji_only(vector["source"]) is vector["large"]


@pytest.mark.timeout(600)
@seed(FUZZ_SEED)
@settings(max_examples=FUZZ_EXAMPLES, database=None, deadline=None)
@given(TEXTS)
def test_page_and_server_parse_any_text_to_the_same_tree(
    page_markdown: PageMarkdown, text: str
) -> None:
    for source in (
        text,
        f"http://{text}",
        f"a*{text}*",
        f"> {text}\n>> {text}",
        f"```{text}\n{text}```",
        f"`{text}`",
    ):
        expected = {
            "tree": neutral(markdown.parse(source)),
            "large": markdown.is_emoji_only(source),
        }

        assert page_markdown.parse(source) == expected, (
            f"{source!a} SEED={FUZZ_SEED} MARKDOWN_EXAMPLES={FUZZ_EXAMPLES}"
        )


def test_all_marks_as_html() -> None:
    drawn = markdown.html("> **a** *b*\n```\n<c>\n```\n`d` http://e\u00fc.example/?f&g.")

    assert drawn == (
        "<blockquote><strong>a</strong> <em>b</em></blockquote>"
        '<pre class="fence"><code>&lt;c&gt;</code></pre>'
        "<code>d</code> "
        '<a class="link" href="http://e\u00fc.example/?f&amp;g" target="_blank" rel="noopener noreferrer nofollow ugc">'
        'http://<b class="link__host">e\u00fc.example</b>/?f&amp;g</a>.'
    )


@given(st.text(st.sampled_from("ab*`>\n <\"'&/:.()") | st.characters()))
def test_no_text_becomes_html(source: str) -> None:
    drawn = markdown.html(source)

    plain = [
        each
        for each in ("<script", "<img", "javascript:", "onclick")
        if each in drawn and each not in source
    ]
    assert plain == []
    for tag in ("strong", "em", "code", "blockquote", "pre", "a", "b"):
        assert drawn.count(f"<{tag}>") + drawn.count(f"<{tag} ") == drawn.count(f"</{tag}>")


@pytest.mark.parametrize("piece", HOSTILE)
def test_hostile_text_is_drawn_at_once(piece: str) -> None:
    source = (piece * 4000)[:4000]
    begun = time.process_time()

    markdown.html(source)
    markdown.is_emoji_only(source)

    assert time.process_time() - begun < 0.1


def test_the_page_shows_marks_and_links(app: Flask, ada: Client, kitchen: str) -> None:
    ada.post("**hello** http://example.org")
    ada.post("\U0001f44d")

    page = app.test_client().get(f"/{kitchen}/").text

    assert "<strong>hello</strong> <a " in page
    assert page.count('data-size="large"') == 1

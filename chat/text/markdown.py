"""The Markdown subset of messages: parses it into a tree, and renders that as HTML.

The subset has bold, italic, code, fenced code, quotes and bare links. The page has the same parser
in JavaScript (static/js/lib/markdown.js). Both have to produce the trees of
tests/vectors/markdown.json.
Parsing takes linear time, so no message is slow to render.
"""

import re
from bisect import bisect
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from markupsafe import Markup, escape

from chat.text.emoji import EMOJI_PATTERN
from chat.text.links import ADDRESS, SPACE, split_host, trim_address

MAX_QUOTE_DEPTH = 3
"""Deeper quotes are text."""

TOKEN = re.compile(rf"`+|\*+|{ADDRESS}")
"""A run of backticks, a run of stars, or a web address."""

QUOTE_MARKER = re.compile(r">(?: |(?=>)|$)")
FENCE = "```"
FENCE_START = re.compile(r"```([^`]*)")
FENCE_LANGUAGE = re.compile(r"[A-Za-z0-9+#.-]{0,20} *")
BLANK = re.compile(rf"[{SPACE}]*")
SPACES = frozenset(re.findall(rf"[{SPACE}]", "".join(map(chr, range(0x10000)))))
"""The single characters that BLANK matches; a look-up takes less time than a match."""

KIND_BY_STARS = {"*": "italic", "**": "bold"}
STARS_OF_RUN = {"": (), "*": ("*",), "**": ("**",), "***": ("**", "*")}
"""How a run of stars is split: two are bold, one is italic."""

MAX_STARS = 3
EMOJI_ONLY = re.compile(rf"[ \n]*(?:{EMOJI_PATTERN}[ \n]*){{1,8}}")
MAX_EMOJI_ONLY_CHARS = 160
"""Eight of the longest emoji."""

TAGS = {
    "bold": ("<strong>", "</strong>"),
    "italic": ("<em>", "</em>"),
    "code": ("<code>", "</code>"),
    "fence": ('<pre class="fence"><code>', "</code></pre>"),
    "quote": ("<blockquote>", "</blockquote>"),
    "host": ('<b class="link__host">', "</b>"),
}
"""The HTML before and after an element, by its kind; that of a link contains its address."""

LINK_START = '<a class="link" href="'
LINK_ATTRIBUTES = '" target="_blank" rel="noopener noreferrer nofollow ugc">'
LINK_END = "</a>"


class Element(NamedTuple):
    """A node with content. Its kind is a key of TAGS, or "link"."""

    kind: str
    children: "list[Node]"


Node: TypeAlias = str | Element


class Block(NamedTuple):
    """An element of whole lines, and the index of the line after it."""

    element: Element
    next_line: int


def html(source: str) -> Markup:
    """Return a message as HTML. All text in it is escaped."""
    output: list[str] = []
    _render(parse(source), output)
    return Markup("".join(output))  # noqa: S704  # made of our tags and of escaped text


def is_emoji_only(source: str) -> bool:
    """Return whether a message is one to eight emoji and nothing else; these are shown large."""
    return len(source) <= MAX_EMOJI_ONLY_CHARS and EMOJI_ONLY.fullmatch(source) is not None


def parse(source: str) -> list[Node]:
    """Return a message as a tree."""
    return _parse_blocks(source.split("\n"), 0)


# Rendering


def _render(nodes: list[Node], output: list[str]) -> None:
    """Append the HTML of nodes to `output`."""
    for node in nodes:
        if isinstance(node, str):
            output.append(escape(node))
        else:
            _render_element(node, output)


def _render_element(element: Element, output: list[str]) -> None:
    if element.kind == "link":
        address = escape(_text_of(element.children))
        start = f"{LINK_START}{address}{LINK_ATTRIBUTES}"
        end = LINK_END
    else:
        start, end = TAGS[element.kind]
    output.append(start)
    _render(element.children, output)
    output.append(end)


def _text_of(nodes: list[Node]) -> str:
    return "".join(node if isinstance(node, str) else _text_of(node.children) for node in nodes)


# Blocks


def _parse_blocks(lines: list[str], quote_depth: int) -> list[Node]:
    """Parse lines. Fenced code and quotes take whole lines; the lines between them are text."""
    nodes: list[Node] = []
    fence_ends = [index for index, line in enumerate(lines) if line.rstrip(" ").endswith(FENCE)]
    line_break = ""
    index = 0
    while index < len(lines):
        block = _parse_fence(lines, index, fence_ends)
        if block is None:
            block = _parse_quote(lines, index, quote_depth)
        if block is None:
            _append_nodes(nodes, [line_break, *_parse_line(lines[index])])
            line_break = "\n"
            index += 1
        else:
            nodes.append(block.element)
            line_break = ""
            index = block.next_line
    return nodes


def _parse_fence(lines: list[str], start: int, fence_ends: list[int]) -> Block | None:
    """Parse fenced code: from three backticks that begin a line to three that end a later one.

    `fence_ends` holds the indexes of the lines that can end a fence; it avoids a search for each
    start.
    """
    match = FENCE_START.fullmatch(lines[start])
    next_end = bisect(fence_ends, start)
    if match is None or next_end == len(fence_ends):
        return None
    info = match[1]
    end = fence_ends[next_end]
    content = [] if FENCE_LANGUAGE.fullmatch(info) else [info]
    content += lines[start + 1 : end]
    last_line = lines[end].rstrip(" ").removesuffix(FENCE)
    if last_line:
        content.append(last_line)
    return Block(Element("fence", ["\n".join(content)]), end + 1)


def _parse_quote(lines: list[str], start: int, quote_depth: int) -> Block | None:
    """Parse a quote: lines that begin with ">". The first of them must not be blank."""
    if quote_depth >= MAX_QUOTE_DEPTH or BLANK.fullmatch(lines[start].replace(">", "", 1)):
        return None
    content = []
    for index in range(start, len(lines)):
        marker = QUOTE_MARKER.match(lines[index])
        if marker is None:
            break
        content.append(lines[index][marker.end() :])
    if not content:
        return None
    children = _parse_blocks(content, quote_depth + 1)
    return Block(Element("quote", children), start + len(content))


# Text


def _parse_line(line: str) -> list[Node]:
    """Parse a line of text. Emphasis and code begin and end on one line."""
    output = _LineOutput()
    code_ends = _find_code_ends(line)
    position = 0
    token = TOKEN.search(line)
    while token is not None:
        output.add(line[position : token.start()])
        position = _parse_token(line, token, code_ends, output)
        token = TOKEN.search(line, position)
    output.add(line[position:])
    return output.finish()


def _parse_token(
    line: str, token: re.Match[str], code_ends: dict[int, int], output: "_LineOutput"
) -> int:
    """Add the nodes of a token to the output; return the position of the rest of the line."""
    text = token[0]
    start = token.start()
    end = token.end()
    if text.startswith("*"):
        output.add_stars(text, line[start - 1 : start], line[end : end + 1])
        return end
    if not text.startswith("`"):
        address = trim_address(text)
        output.add(Element("link", _link_children(address)))
        return start + len(address)
    code_end = code_ends.get(start)
    if code_end is None:
        output.add(text)
        return end
    output.add(Element("code", [line[end:code_end]]))
    return code_end + len(text)


def _find_code_ends(line: str) -> dict[int, int]:
    """Return where each run of backticks is closed: by the next run of the same length.

    The result holds the start of the closing run by the start of the opening one.
    """
    last_starts: dict[int, int] = {}  # by length
    code_ends = {}
    for run in re.finditer("`+", line):
        length = len(run[0])
        if length in last_starts:
            code_ends[last_starts[length]] = run.start()
        last_starts[length] = run.start()
    return code_ends


# Links


def _link_children(address: str) -> list[Node]:
    """Return the content of a link, in which a host that may imitate another one is emphasized."""
    parts = split_host(address)
    if parts is None:
        return [address]
    before, host, after = parts
    children: list[Node] = [before, Element("host", [host])]
    if after:
        children.append(after)
    return children


# Emphasis


def _is_blank(character: str) -> bool:
    return character == "" or character in SPACES


def _is_alphanumeric(character: str) -> bool:
    return character.isalnum() and character.isascii()


def _append_nodes(nodes: list[Node], added: Iterable[Node]) -> None:
    """Append nodes; adjacent texts become one."""
    for node in added:
        if isinstance(node, str) and nodes and isinstance(nodes[-1], str):
            nodes[-1] += node
        elif node != "":
            nodes.append(node)


@dataclass
class _OpenEmphasis:
    """Emphasis that is not closed yet; without stars, the line itself."""

    stars: str
    children: list[Node] = field(default_factory=list)


class _LineOutput:
    """Collects the nodes of a line.

    At most one bold and one italic part are open at a time.
    """

    def __init__(self) -> None:
        self._open = [_OpenEmphasis("")]  # the innermost part is the last

    def add(self, node: Node) -> None:
        """Add a node to the innermost part."""
        _append_nodes(self._open[-1].children, [node])

    def add_stars(self, run: str, before: str, after: str) -> None:
        """Add a run of stars, which open or close emphasis. Inside a word they are text.

        `before` and `after` are the characters around the run, or "".
        """
        if len(run) > MAX_STARS:
            self.add(run)
            return
        can_close = not _is_blank(before) and not _is_alphanumeric(after)
        can_open = not _is_blank(after) and not _is_alphanumeric(before)
        remaining = self._close_all(run) if can_close else run
        for stars in STARS_OF_RUN[remaining]:
            if can_open:
                self._open_emphasis(stars)
            else:
                self.add(stars)

    def finish(self) -> list[Node]:
        """Return all nodes of the line. Stars that were not closed are text."""
        while len(self._open) > 1:
            self._turn_into_text(len(self._open) - 1)
        return self._open[0].children

    def _open_emphasis(self, stars: str) -> None:
        for index, part in enumerate(self._open):
            if part.stars == stars:
                self._turn_into_text(index)
                break
        self._open.append(_OpenEmphasis(stars))

    def _close_all(self, run: str) -> str:
        """Close what a run of stars can close; return the stars that are left."""
        remaining = run
        while True:
            closed = self._closed_by(remaining)
            if closed is None:
                return remaining
            self._close(closed)
            remaining = remaining[len(closed.stars) :]

    def _closed_by(self, run: str) -> _OpenEmphasis | None:
        """Return the part that a run of stars closes.

        That is the one with the same stars, otherwise the innermost one with fewer stars.
        """
        innermost_first = self._open[:0:-1]
        for part in innermost_first:
            if part.stars == run:
                return part
        for part in innermost_first:
            if len(part.stars) <= len(run):
                return part
        return None

    def _close(self, part: _OpenEmphasis) -> None:
        while self._open[-1] is not part:
            self._turn_into_text(len(self._open) - 1)
        self._open.pop()
        self.add(Element(KIND_BY_STARS[part.stars], part.children))

    def _turn_into_text(self, index: int) -> None:
        """Replace an open part, which will not be closed, by its stars and its content."""
        part = self._open.pop(index)
        _append_nodes(self._open[index - 1].children, [part.stars, *part.children])

"""The small Markdown of messages, for what the server draws; static/js/lib/markdown.js is its twin.

Bold, italic, code, fenced code, quotes and bare links, and nothing else. Both are held to tests/vectors/markdown.json.
Every character is looked at a fixed number of times, so no message is slow to draw.
"""

import re
from bisect import bisect
from typing import TypeAlias

from markupsafe import Markup, escape

from chat.text.emoji import EMOJI_PATTERN

Node: TypeAlias = "str | tuple[str, list[Node]]"  # text, or what it is and what is in it

QUOTES_AT_MOST = 3  # quotes within quotes; further ones are text
SPACE = r"\s\x00-\x1f\x7f-\x9f\ufeff"
UNSEEN = r"\u061c\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069"  # would hide where an address ends, or turn it around
SCHEME = r"[Hh][Tt][Tt][Pp][Ss]?://"  # letter by letter: to ignore case would let the long s in, which is no scheme
# Beyond ASCII a host may begin with every character but these: punctuation, symbols, emoji, combining marks and private
# use. Not `\w`: Unicode gets new letters every year, and the server and a browser may know different versions of it.
NOT_LETTERS = (
    r"\x80-\xbf\xd7\xf7\u0300-\u036f\u2000-\u206f\u20a0-\u20ff\u2190-\u2bff\u2e00-\u2e7f\u3000-\u3004\u3008-\u3020"
    r"\ud800-\uf8ff\ufe00-\ufe6f\uff00-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65\uffe0-\uffff"
    r"\U0001f000-\U0001ffff\U000e0000-\U0010ffff"
)
HOST_START = rf"[A-Za-z0-9]|[^\x00-\x7f{NOT_LETTERS}]|\[[0-9A-Fa-f:]"
PIECE = re.compile(rf"`+|\*+|(?<![A-Za-z0-9_]){SCHEME}(?={HOST_START})[^{SPACE}{UNSEEN}<>\"\\`]+")
TRAILING = frozenset(
    ".,:;!?'*_~\u2026\u3001\u3002\uff01\uff0c\uff0e\uff1a\uff1b\uff1f\u00bb\u2019\u201d\u300d\u300f"
)
PAIRS = {")": "(", "]": "[", "}": "{", "\uff09": "\uff08"}
HOST = re.compile(rf"({SCHEME})([^/?#]+)(.*)")
QUOTED = re.compile(r">(?: |(?=>)|$)")
FENCE = re.compile(r"```([^`]*)")
LANGUAGE = re.compile(r"[A-Za-z0-9+#.-]{0,20} *")
BLANK = re.compile(rf"[{SPACE}]*")  # nothing to see
ALNUM = re.compile(r"[A-Za-z0-9]")
STARS = {"*": "italic", "**": "bold"}
PICTURES = re.compile(rf"[ \n]*(?:{EMOJI_PATTERN}[ \n]*){{1,8}}")
PICTURES_CHARS = 160  # eight of the longest
TAGS = {
    "bold": Markup("<strong>{}</strong>"),
    "italic": Markup("<em>{}</em>"),
    "code": Markup("<code>{}</code>"),
    "fence": Markup('<pre class="fence"><code>{}</code></pre>'),
    "quote": Markup("<blockquote>{}</blockquote>"),
    "host": Markup('<b class="link__host">{}</b>'),
    "link": Markup(
        '<a class="link" href="{href}" target="_blank" rel="noopener noreferrer nofollow ugc">{}</a>'
    ),
}


def html(source: str) -> Markup:
    """A message as HTML: what is not one of the few marks is escaped text."""
    return _html(parse(source))


def only_pictures(source: str) -> bool:
    """Whether it is one to eight emoji and nothing else: they are shown large."""
    return len(source) <= PICTURES_CHARS and PICTURES.fullmatch(source) is not None


def parse(source: str) -> list[Node]:
    """A message as a tree."""
    return _blocks(source.split("\n"), 0)


def _html(nodes: list[Node]) -> Markup:
    return Markup("").join(
        escape(node) if isinstance(node, str) else _element(*node) for node in nodes
    )


def _element(kind: str, inside: list[Node]) -> Markup:
    return TAGS[kind].format(_html(inside), href=_plain(inside) if kind == "link" else None)


def _plain(nodes: list[Node]) -> str:
    return "".join(node if isinstance(node, str) else _plain(node[1]) for node in nodes)


def _blocks(lines: list[str], depth: int) -> list[Node]:
    """Fences and quotes take whole lines; what is between them is text, with its line ends."""
    nodes: list[Node] = []
    ends = [at for at, line in enumerate(lines) if line.rstrip(" ").endswith("```")]
    at, between = 0, ""
    while at < len(lines):
        block, after = _fence(lines, at, ends) or _quote(lines, at, depth) or (None, at + 1)
        _add(nodes, *([block] if block else [between, *_line(lines[at])]))
        at, between = after, "" if block else "\n"
    return nodes


def _fence(lines: list[str], at: int, ends: list[int]) -> tuple[Node, int] | None:
    """From three backticks at the start of a line to three at the end of one."""
    opening = FENCE.fullmatch(lines[at])
    ending = bisect(ends, at)
    if opening is None or ending == len(ends):
        return None
    end = ends[ending]
    first = [] if LANGUAGE.fullmatch(opening[1]) else [opening[1]]
    last = lines[end].rstrip(" ").removesuffix("```")
    return (
        "fence",
        ["\n".join([*first, *lines[at + 1 : end], *([last] if last else [])])],
    ), end + 1


def _quote(lines: list[str], at: int, depth: int) -> tuple[Node, int] | None:
    """Lines that begin with > and a space; the first has to say something."""
    if BLANK.fullmatch(lines[at].replace(">", "", 1)):
        return None
    inside = []
    while at < len(lines) and depth < QUOTES_AT_MOST and (mark := QUOTED.match(lines[at])):
        inside.append(lines[at][mark.end() :])
        at += 1
    return (("quote", _blocks(inside, depth + 1)), at) if inside else None


def _line(line: str) -> list[Node]:
    marks = _Marks()
    closings = _closings(line)
    at = 0
    while piece := PIECE.search(line, at):
        start, at = piece.span()
        marks.add(line[piece.pos : start])
        if line[start] == "*" and len(piece[0]) <= 3:
            marks.stars(piece[0], line[start - 1 : start], line[at : at + 1])
        elif line[start] not in "*`":
            at = start + len(address := _address(piece[0]))
            marks.add(("link", _link(address)))
        elif start in closings:
            marks.add(("code", [line[at : closings[start]]]))
            at = closings[start] + len(piece[0])
        else:
            marks.add(piece[0])
    marks.add(line[at:])
    return marks.close()


def _closings(line: str) -> dict[int, int]:
    """Where each run of backticks is closed: by the next one as long."""
    latest: dict[int, int] = {}
    closings = {}
    for run in re.finditer("`+", line):
        if (length := len(run[0])) in latest:
            closings[latest[length]] = run.start()
        latest[length] = run.start()
    return closings


def _address(found: str) -> str:
    """An address without the punctuation of the sentence around it; brackets that it opens itself are its own."""
    loose = {close: found.count(close) - found.count(open_) for close, open_ in PAIRS.items()}
    end = len(found)
    while (last := found[end - 1]) in TRAILING or loose.get(last, 0) > 0:
        if last in loose:
            loose[last] -= 1
        end -= 1
    return found[:end]


def _link(address: str) -> list[Node]:
    """Letters of other alphabets may look like those of a host one trusts: such a host is shown as what it is."""
    scheme, host, rest = HOST.fullmatch(address).groups()  # type: ignore[union-attr]  # as PIECE found it
    if host.isascii() and "@" not in host:
        return [address]
    before, at, name = host.rpartition("@")
    return [scheme + before + at, ("host", [name]), *([rest] if rest else [])]


def _add(nodes: list[Node], *more: Node) -> None:
    """Text that meets text is one text."""
    for node in more:
        if isinstance(node, str) and nodes and isinstance(nodes[-1], str):
            nodes[-1] += node
        elif node:
            nodes.append(node)


class _Marks:
    """The nodes of a line, and the marks that are open in it: at most one bold and one italic."""

    def __init__(self) -> None:
        self._open: list[tuple[str, list[Node]]] = [
            ("", [])
        ]  # the line itself, then the marks, inmost last

    def add(self, node: Node) -> None:
        _add(self._open[-1][1], node)

    def stars(self, run: str, before: str, after: str) -> None:
        """One star is italic, two are bold, three both; inside a word or a sum they are stars."""
        left = run if BLANK.fullmatch(before) or ALNUM.match(after) else self._close_all(run)
        opens = not BLANK.fullmatch(after) and not ALNUM.match(before)
        for mark in ("**"[: len(left) & 2], "*"[: len(left) & 1]):
            if opens and mark:
                self._forget(mark)
                self._open.append((mark, []))
            else:
                self.add(mark)

    def close(self, mark: str = "") -> list[Node]:
        """What is in a mark, or in the whole line. Marks that are still open in it are stars."""
        while self._open[-1][0] != mark:
            self._forget(self._open[-1][0])
        return self._open.pop()[1]

    def _close_all(self, run: str) -> str:
        """Close what a run of stars can close: the mark that is just that, else the inmost not longer; what is left."""
        while marks := [mark for mark, _ in self._open[:0:-1] if len(mark) <= len(run)]:
            mark = run if run in marks else marks[0]
            self.add((STARS[mark], self.close(mark)))
            run = run[len(mark) :]
        return run

    def _forget(self, mark: str) -> None:
        """This one is not closed: it was stars."""
        for at, (opened, inside) in enumerate(self._open):
            if opened == mark:
                del self._open[at]
                _add(self._open[at - 1][1], mark, *inside)
                return

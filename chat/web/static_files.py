"""The files below static/ as browsers receive them: scripts without their comments, and what is text compressed."""

import gzip
import hashlib
import mimetypes
from functools import lru_cache, partial
from pathlib import Path

import brotli
from pygments.lexers.javascript import JavascriptLexer
from pygments.token import Comment, Whitespace
from werkzeug.datastructures import Accept

STATIC = Path(__file__).resolve().parents[2] / "static"
# The later one wins.
SHEETS = (
    "tokens",
    "base",
    "about",
    "room",
    "message",
    "composer",
    "menu",
    "dialog",
    "people",
    "theme",
)
PICTURES = (".png",)  # are compressed already
BEST = {
    "br": partial(brotli.compress, quality=11),
    "gzip": partial(gzip.compress, compresslevel=9, mtime=0),
}
QUICK = {
    "br": partial(brotli.compress, quality=4),
    "gzip": partial(gzip.compress, compresslevel=5, mtime=0),
}


@lru_cache
def files() -> dict[str, bytes]:
    """The files by their names, as they were when this process first needed one; and the style sheets as one."""
    found = {
        str(path.relative_to(STATIC)): path.read_bytes()
        for path in sorted(STATIC.rglob("*"))
        if path.is_file()
    }
    return found | {"css/all.css": b"".join(found[f"css/{part}.css"] for part in SHEETS)}


@lru_cache
def version() -> str:
    """A name for all the files as they are."""
    everything = b"".join(f"{name}\0".encode() + content for name, content in files().items())
    return hashlib.sha256(everything).hexdigest()[:12]


def kind(name: str) -> str:
    """The media type of a file."""
    return mimetypes.guess_type(name)[0] or "application/octet-stream"


def encoding(accepted: Accept) -> str | None:
    """The best way to compress an answer that whoever asks can read."""
    return next((each for each in BEST if accepted[each] > 0), None)


@lru_cache(maxsize=256)
def packed(name: str, how: str | None) -> bytes:
    """A file as it is sent. Packing takes a moment, so it is done when the first one asks, and kept."""
    content = files()[name]
    if name.startswith("js/") and name.endswith(".js"):
        content = slim(content.decode()).encode()
    return BEST[how](content) if how else content


def slim(script: str) -> str:
    """JavaScript without what is for its readers only, comments and indentation; every line keeps its number."""
    # stripnl and ensurenl would change where the lines are.
    tokens = JavascriptLexer(stripnl=False, ensurenl=False).get_tokens(script)
    return "".join(
        "\n" * text.count("\n")
        if kind in Comment or (kind in Whitespace and "\n" in text)
        else text
        for kind, text in tokens
    )

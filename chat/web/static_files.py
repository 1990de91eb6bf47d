"""The files below static/ as browsers receive them: read once, compressed once, kept in memory."""

import gzip
import hashlib
import mimetypes
from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path
from typing import TypeAlias

import brotli
from werkzeug.datastructures import Accept

STATIC = Path(__file__).resolve().parents[2] / "static"

ENDPOINT = "assets.static"
"""The name of the view in assets.py that serves them."""

STYLE_SHEETS = (
    "tokens",
    "base",
    "avatar",
    "about",
    "document",
    "settings",
    "room",
    "message",
    "composer",
    "menu",
    "dialog",
    "own_data",
    "moderation",
    "people",
    "theme",
    "forced_colors",
)
"""The style sheets that are sent as one, in the order of the cascade."""

ALREADY_COMPRESSED = (".png",)

Compress: TypeAlias = Callable[[bytes], bytes]

BEST: dict[str, Compress] = {
    "br": partial(brotli.compress, quality=11),
    "gzip": partial(gzip.compress, compresslevel=9, mtime=0),
}
"""How files are compressed, by content coding, preferred first."""

FAST: dict[str, Compress] = {
    "br": partial(brotli.compress, quality=4),
    "gzip": partial(gzip.compress, compresslevel=5, mtime=0),
}
"""How pages are compressed, for each request anew."""


@lru_cache
def static_files() -> dict[str, bytes]:
    """Return the files by name, as they were at the first call, and all style sheets as one."""
    found = {
        str(path.relative_to(STATIC)): path.read_bytes()
        for path in sorted(STATIC.rglob("*"))
        if path.is_file()
    }
    found["css/all.css"] = b"".join(found[f"css/{sheet}.css"] for sheet in STYLE_SHEETS)
    return found


@lru_cache
def version() -> str:
    """Return a name for the content of all files: twelve hexadecimal digits."""
    digest = hashlib.sha256()
    for name, content in static_files().items():
        digest.update(f"{name}\0".encode() + content)
    return digest.hexdigest()[:12]


def media_type(name: str) -> str:
    """Return the media type of a file."""
    return mimetypes.guess_type(name)[0] or "application/octet-stream"


def content_coding(name: str, accepted: Accept) -> str | None:
    """Return the content coding in which a file is sent; None for none."""
    if name.endswith(ALREADY_COMPRESSED):
        return None
    return best_coding(accepted)


def best_coding(accepted: Accept) -> str | None:
    """Return the best content coding that a client accepts; None when there is none."""
    for coding in BEST:
        if accepted[coding] > 0:
            return coding
    return None


@lru_cache(maxsize=256)
def compressed(name: str, coding: str | None) -> bytes:
    """Return a file in a content coding. It is compressed when it is first requested, and kept."""
    content = static_files()[name]
    return content if coding is None else BEST[coding](content)

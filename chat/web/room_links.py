"""Finds the room that people mean by what they type or paste: a label, a link, or any words."""

import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from flask import Request

from chat.text.links import ADDRESS, SCHEME, trim_address
from chat.web.addresses import Address, parse_address
from chat.web.allowed_hosts import AllowedHosts, to_ascii
from chat.web.labels import LABEL_RULE, is_valid_label, label_from_text
from config import Config

NOT_A_ROOM = "This link does not lead to a room."

LINK_START = re.compile(SCHEME)
LINK = re.compile(ADDRESS)
"""A link, also within other words."""

URL_WITHOUT_SCHEME = re.compile(r"[^\s/]+[.:][^\s/]+/\S*|localhost/\S*", re.IGNORECASE)
"""As browsers show the address of a page: with a dot or a port, and with a path."""

PAGES_OF_ROOM = {"", "qr.svg"}
"""What the address of a page of a room has behind the label."""

MESSAGE_ANCHOR = re.compile(r"m-[0-9]{1,15}")


class NoRoom(Exception):
    """A text does not name a room; the message says why."""


@dataclass(frozen=True)
class RoomLink:
    """A room, and the anchor of one of its messages or an empty text."""

    label: str
    anchor: str = ""


def find_room_link(text: str, request: Request, config: Config) -> RoomLink:
    """Return the room that a text names. Raises NoRoom."""
    text = text.strip()
    if is_valid_label(text):
        return RoomLink(text)
    if LINK_START.search(text):
        return _parse_link(_first_link(text), request, config)
    if URL_WITHOUT_SCHEME.fullmatch(text):
        return _parse_link(_first_link(f"{request.scheme}://{text}"), request, config)
    if text.startswith("/"):
        return _parse_path(text, request)
    label = label_from_text(text)
    if not is_valid_label(label):
        raise NoRoom(LABEL_RULE)
    return RoomLink(label)


def _first_link(text: str) -> str:
    """Return the first link without the punctuation of the sentence around it. Raises NoRoom."""
    link = LINK.search(text)
    if link is None:
        raise NoRoom(NOT_A_ROOM)
    # A label may end with an underscore, which is punctuation in other links.
    return link[0] if link[0].endswith("_") else trim_address(link[0])


def _parse_link(url: str, request: Request, config: Config) -> RoomLink:
    try:
        host = to_ascii(urlsplit(url).netloc)
    except ValueError:
        raise NoRoom(NOT_A_ROOM) from None
    address = parse_address(host)
    if address is None or not _is_this_site(address, request, config):
        raise NoRoom(
            f"This link leads to another site, {host}. Paste a link to a room of this site, or "
            "type the name of a room."
        )
    return _parse_path(url, request)


def _is_this_site(address: Address, request: Request, config: Config) -> bool:
    own_address = parse_address(request.host)
    if own_address is None or address == own_address:
        return own_address is not None
    hosts = AllowedHosts(config.public_urls)
    return hosts.is_same_server(address, own_address, request.environ)


def _parse_path(url: str, request: Request) -> RoomLink:
    """Return the room at a path, with or without the prefix under which this site is mounted."""
    parts = urlsplit(url)
    path = unquote(parts.path)
    if request.script_root and path.startswith(f"{request.script_root}/"):
        path = path.removeprefix(request.script_root)
    label, _, page = path.strip("/").partition("/")
    if not is_valid_label(label) or page not in PAGES_OF_ROOM:
        raise NoRoom(NOT_A_ROOM)
    anchor = parts.fragment if MESSAGE_ANCHOR.fullmatch(parts.fragment) else ""
    return RoomLink(label, anchor)

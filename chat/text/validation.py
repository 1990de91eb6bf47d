"""Validation of text: what may be a handle, a message or a room's name.

Text is kept exactly as it was received; only CRLF and CR become LF. It may contain invisible
characters, but not consist of them.
"""

import re
from typing import Annotated, TypeAlias

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from chat.current_config import current_config
from chat.text.plain_text import is_blank_message
from chat.text.visible_text import is_blank

# Control characters other than newline and tab, and lone surrogates: databases treat them
# differently, and no text needs them.
FORBIDDEN_CHARACTERS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")

# Line breaks and bidirectional overrides. Joiners are allowed: they are letters of real names.
FORBIDDEN_IN_NAMES = re.compile(r"[\n\t\u2028\u2029\u202a-\u202e\u2066-\u2069]")

ROOM_NAME_CHARS = 80
"""The length of the column that holds the name."""


def _normalize_line_ends(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _check_characters(text: str) -> str:
    if FORBIDDEN_CHARACTERS.search(text):
        raise PydanticCustomError(
            "forbidden_characters", "contains characters that are not allowed"
        )
    return text


def _check_name_characters(text: str) -> str:
    if FORBIDDEN_IN_NAMES.search(text):
        raise PydanticCustomError(
            "forbidden_characters", "contains characters that are not allowed in a name"
        )
    return text


def _check_handle(text: str) -> str:
    return _check_length(text, current_config().handle_chars)


def _check_room_name(text: str) -> str:
    if text == "":
        return text  # no name
    return _check_length(text, ROOM_NAME_CHARS)


def _check_message(text: str) -> str:
    config = current_config()
    max_bytes = config.message_bytes
    if len(text.encode()) > max_bytes:
        raise PydanticCustomError(
            "too_long", "is longer than {max_bytes} bytes", {"max_bytes": max_bytes}
        )
    if is_blank_message(text):
        raise PydanticCustomError("empty", "is empty")
    return _check_length(text, config.message_chars)


def _check_length(text: str, max_chars: int) -> str:
    if is_blank(text):
        raise PydanticCustomError("empty", "is empty")
    if len(text) > max_chars:
        raise PydanticCustomError(
            "too_long", "is longer than {max_chars} characters", {"max_chars": max_chars}
        )
    return text


Text: TypeAlias = Annotated[
    str, AfterValidator(_normalize_line_ends), AfterValidator(_check_characters)
]
Name: TypeAlias = Annotated[Text, AfterValidator(_check_name_characters)]
Handle: TypeAlias = Annotated[Name, AfterValidator(_check_handle)]
RoomName: TypeAlias = Annotated[Name, AfterValidator(_check_room_name)]
MessageText: TypeAlias = Annotated[Text, AfterValidator(_check_message)]

"""What text is: what may be a name or a message, exactly as it came. Nothing is changed but line ends."""

import re
from typing import Annotated

from flask import current_app
from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from chat.emoji import is_emoji

# Control characters other than newline and tab, and halves of characters: databases differ on them, no text needs them.
UNTELLABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
# In a name also what breaks the line or turns the text around it. Joiners stay: they are letters of real names.
NOT_IN_A_NAME = re.compile(r"[\n\t\u2028\u2029\u202a-\u202e\u2066-\u2069]")

# What nobody sees; a name may have some of it, but not be nothing else.
INVISIBLE = re.compile(
    r"[\s\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0]"
)


ROOM_NAME_CHARS = 80  # as many as its column holds


def _text(text: str) -> str:
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if UNTELLABLE.search(text):
        raise PydanticCustomError("untellable", "contains characters that are not text")
    return text


def _name(text: str) -> str:
    if NOT_IN_A_NAME.search(text):
        raise PydanticCustomError("untellable", "contains characters that do not belong in a name")
    return text


def _handle(text: str) -> str:
    if not INVISIBLE.sub("", text):
        raise PydanticCustomError("empty", "is empty")
    return _said(text, current_app.config["CONFAB"].handle_chars)


def _room_name(text: str) -> str:
    return text and _said(text, ROOM_NAME_CHARS)


def _message(text: str) -> str:
    at_most = current_app.config["CONFAB"].message_bytes
    if len(text.encode()) > at_most:
        raise PydanticCustomError("too_long", "is longer than {at_most} bytes", {"at_most": at_most})
    return _said(text, current_app.config["CONFAB"].message_chars)


def _said(text: str, at_most: int) -> str:
    if not text.strip():
        raise PydanticCustomError("empty", "is empty")
    if len(text) > at_most:
        raise PydanticCustomError("too_long", "is longer than {at_most} characters", {"at_most": at_most})
    return text


def _emoji(text: str) -> str:
    if not is_emoji(text):
        raise PydanticCustomError("emoji", "is not one emoji")
    return text


Text = Annotated[str, AfterValidator(_text)]
Name = Annotated[Text, AfterValidator(_name)]
Handle = Annotated[Name, AfterValidator(_handle)]
RoomName = Annotated[Name, AfterValidator(_room_name)]  # "" for none
MessageText = Annotated[Text, AfterValidator(_message)]
Emoji = Annotated[Text, AfterValidator(_emoji)]

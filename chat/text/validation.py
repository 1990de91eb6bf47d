"""What text is: what may be a name or a message, exactly as it came. Nothing is changed but line ends."""

import re
from collections.abc import Callable
from typing import Annotated

from flask import current_app
from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from chat.text.emoji import is_emoji

# Control characters other than newline and tab, and halves of characters: databases differ on them, no text needs them.
FORBIDDEN_CHARACTERS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
# In a name also what breaks the line or turns the text around it. Joiners stay: they are letters of real names.
FORBIDDEN_IN_NAMES = re.compile(r"[\n\t\u2028\u2029\u202a-\u202e\u2066-\u2069]")
# What nobody sees; a name may have some of it, but not be nothing else.
INVISIBLE_CHARACTERS = re.compile(
    r"[\s\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0]*"
)
ROOM_NAME_CHARS = 80  # as many as its column holds


def _refuse(wrong: Callable[[str], object], code: str, sentence: str) -> AfterValidator:
    def check(text: str) -> str:
        if wrong(text):
            raise PydanticCustomError(code, sentence)
        return text

    return AfterValidator(check)


def _message(text: str) -> str:
    at_most = current_app.config["CONFAB"].message_bytes
    if len(text.encode()) > at_most:
        raise PydanticCustomError(
            "too_long", "is longer than {at_most} bytes", {"at_most": at_most}
        )
    return _said(text, current_app.config["CONFAB"].message_chars)


def _said(text: str, at_most: int) -> str:
    if not text.strip():
        raise PydanticCustomError("empty", "is empty")
    if len(text) > at_most:
        raise PydanticCustomError(
            "too_long", "is longer than {at_most} characters", {"at_most": at_most}
        )
    return text


Text = Annotated[
    str,
    AfterValidator(lambda text: text.replace("\r\n", "\n").replace("\r", "\n")),
    _refuse(FORBIDDEN_CHARACTERS.search, "untellable", "contains characters that are not text"),
]
Name = Annotated[
    Text,
    _refuse(
        FORBIDDEN_IN_NAMES.search, "untellable", "contains characters that do not belong in a name"
    ),
]
Handle = Annotated[
    Name,
    _refuse(INVISIBLE_CHARACTERS.fullmatch, "empty", "is empty"),
    AfterValidator(lambda name: _said(name, current_app.config["CONFAB"].handle_chars)),
]
RoomName = Annotated[
    Name, AfterValidator(lambda name: name and _said(name, ROOM_NAME_CHARS))
]  # "" for none
MessageText = Annotated[Text, AfterValidator(_message)]
Emoji = Annotated[Text, _refuse(lambda text: not is_emoji(text), "emoji", "is not one emoji")]

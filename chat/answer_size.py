"""The size of messages in an answer: how many of them fit, so that no answer is too large.

A client holds a whole answer in memory, and so does the server until the client has read it.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chat.models import MessageRow

MAX_OTHER_BYTES = 64 * 1024
"""Reserved in every answer for what is not a message, above all the list of people in the room."""

MAX_OTHER_BYTES_PER_MESSAGE = 512
"""The keys of a message, with all values except the handle, the text and the reactions."""

MAX_BYTES_PER_CHARACTER = 4
MAX_SHORT_CHARACTERS = 200
"""Up to here the largest possible size is taken, which is fast. An answer holds 200 such texts."""

BYTES_PER_REACTION = 19
"""A mark in quotes, and a comma."""

ESCAPED_CHARACTERS = '"\\\n\t'
"""The characters that JSON writes as two bytes; others that it escapes are in no stored text."""


def count_fitting(messages: Sequence["MessageRow"], answer_bytes: int) -> int:
    """Return how many of the first messages fit into an answer: at least one, if there is one."""
    available_bytes = answer_bytes - MAX_OTHER_BYTES
    for count, message in enumerate(messages):
        available_bytes -= message_bytes(message)
        if available_bytes < 0:
            return max(count, 1)
    return len(messages)


def message_bytes(message: "MessageRow") -> int:
    """Return the size of a message as JSON in UTF-8, in bytes, or a little more."""
    handle_bytes = MAX_BYTES_PER_CHARACTER * len(message.handle)
    size = MAX_OTHER_BYTES_PER_MESSAGE + handle_bytes + _text_bytes(message.message)
    for emoji, authors in (message.reactions or {}).items():
        size += BYTES_PER_REACTION * len(authors) + MAX_BYTES_PER_CHARACTER * len(emoji) + 6
    return size


def _text_bytes(text: str) -> int:
    """Return the size of a text in JSON, in bytes, or more for a short text."""
    if len(text) <= MAX_SHORT_CHARACTERS:
        return MAX_BYTES_PER_CHARACTER * len(text)
    return len(text.encode()) + sum(text.count(character) for character in ESCAPED_CHARACTERS)

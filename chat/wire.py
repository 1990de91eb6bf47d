"""Payloads: those of events, parsed into a closed world of keys, and those of messages and answers, built.

Who is here and who is typing is built in people.py and presence.py, a refusal in payload.py.
"""

from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Self, TypeAlias

from pydantic import model_validator
from pydantic_core import PydanticCustomError

from chat.payload import ClientId, Limit, Number, Payload
from chat.text.validation import Emoji, Handle, MessageText, RoomName, Text

if TYPE_CHECKING:
    from chat.models import MessagePage, MessageRow, Room, RoomRow
    from chat.storage.commands import CommandResult

JSON: TypeAlias = dict[str, Any]

PROTOCOL_VERSION = 1
"""In the answer to `join`; docs/protocol.md, section Stability, says what it stands for."""


class Join(Payload):
    """Enter a room; with `after`, as somebody who has every change up to that number."""

    label: Text
    after: Number | None = None


class Chat(Payload):
    """Say something. The original chat's two keys; `id` makes it safe to repeat."""

    handle: Handle
    message: MessageText
    id: ClientId | None = None
    reply_to: Number | None = None


class Since(Payload):
    """Ask what changed after a number."""

    after: Number
    limit: Limit = 200


class History(Payload):
    """Ask for a page of messages: before, after or around one, or the last."""

    before: Number | None = None
    after: Number | None = None
    around: Number | None = None
    limit: Limit = 50

    @model_validator(mode="after")
    def _one_direction(self) -> Self:
        if len(self.model_fields_set & {"before", "after", "around"}) > 1:
            raise PydanticCustomError("directions", "name only one of before, after and around")
        return self


class Edit(Payload):
    """Say it differently."""

    seq: Number
    message: MessageText


class Delete(Payload):
    """Take it back."""

    seq: Number


class React(Payload):
    """Put an emoji to what somebody said, or take it back."""

    seq: Number
    emoji: Emoji
    on: bool


class Rename(Payload):
    """Go by another name."""

    handle: Handle


class Typing(Payload):
    """Be about to say something."""

    handle: Handle


class Title(Payload):
    """Give the room another name."""

    name: RoomName
    handle: Handle | None = None


class Leave(Payload):
    """Go out."""


def ok(*parts: JSON) -> JSON:
    """The answer to what has been done, with what it adds."""
    answer: JSON = {"ok": True}
    for part in parts:
        answer.update(part)
    return answer


def joined(room: "Room", page: "MessagePage") -> JSON:
    """Return the answer to `join`: the room and its latest messages, or what somebody missed."""
    answer = {"label": room.label, "name": page.name, **changes(room, page)}
    if page.missed is None:
        answer["older"] = page.older
    else:
        answer["missed"] = page.missed
    return {"protocol": PROTOCOL_VERSION, **answer}


def posted(result: "CommandResult") -> JSON:
    """Return the answer to `chat`: the numbers of the stored message."""
    message = result.message
    assert message is not None, "posting a message always names one"  # noqa: S101
    answer: JSON = {
        "seq": message.seq,
        "rev": message.rev,
        "timestamp": iso_timestamp(message.timestamp),
        "head": result.head,
    }
    if result.duplicate:
        answer["duplicate"] = True
    return answer


def changed(result: "CommandResult") -> JSON:
    """Return the answer to an event that changes something."""
    return {"rev": result.rev, "head": result.head}


def changes(room: "Room", page: "MessagePage") -> JSON:
    """Return changed messages, and the number up to which they are complete."""
    return {**_page(room, page), "upto": page.upto}


def history(room: "Room", page: "MessagePage") -> JSON:
    """Return messages, and whether there are more on either side."""
    return {**_page(room, page), "older": page.older, "newer": page.newer}


def _page(room: "Room", page: "MessagePage") -> JSON:
    rows = [message(room, row) for row in page.messages]
    return {"messages": rows, "head": page.head, "epoch": page.epoch}


def message(room: "Room | RoomRow", row: "MessageRow") -> JSON:
    """Return one message: the same live, in a page of history and in the HTML."""
    payload: JSON = {
        "label": room.label,
        "seq": row.seq,
        "rev": row.rev,
        "handle": row.handle,
        "message": row.message,
        "timestamp": iso_timestamp(row.timestamp),
        "mark": room.mark(row.author),
    }
    if row.client_id is not None:
        payload["id"] = row.client_id
    if row.reply_to is not None:
        payload["reply_to"] = row.reply_to
    if row.kind is not None:
        payload["kind"] = row.kind
    if row.edited_at is not None:
        payload["edited"] = iso_timestamp(row.edited_at)
    if row.deleted_at is not None:
        payload["deleted"] = True
    if row.reactions is not None:
        payload["reactions"] = {
            emoji: [room.mark(author) for author in authors]
            for emoji, authors in row.reactions.items()
        }
    return payload


def head(room: "RoomRow") -> JSON:
    """Return the payload of the event `head`."""
    return {"label": room.label, "head": room.head, "epoch": room.epoch}


@lru_cache(maxsize=1_000)  # a new message is formatted for its broadcast and for its answer
def iso_timestamp(when: datetime) -> str:
    """Return a time as ISO 8601 in UTC, with milliseconds and `Z`."""
    return when.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

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
    from chat.models import Message, Page, Room
    from chat.storage.commands import Command

JSON: TypeAlias = dict[str, Any]


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


def joined(room: "Room", page: "Page") -> JSON:
    """The room, and what was said there: all that is new to somebody who comes back, or the last messages."""
    more = {"older": page.older} if page.missed is None else {"missed": page.missed}
    return {"label": room.label, "name": page.name, **changes(room, page), **more}


def stored(what: "Command") -> JSON:
    """What the sender learns of a new message: where it stands."""
    said = what.message
    numbers = {
        "seq": said.seq,
        "rev": said.rev,
        "timestamp": moment(said.timestamp),
        "head": what.head,
    }
    return numbers | ({"duplicate": True} if what.duplicate else {})


def changed(what: "Command") -> JSON:
    """What the sender learns of a change."""
    return {"rev": what.message.rev, "head": what.head}


def changes(room: "Room", page: "Page") -> JSON:
    """Some changes, and up to which one they are complete."""
    return {**_page(room, page), "upto": page.upto}


def history(room: "Room", page: "Page") -> JSON:
    """Some messages, and whether there are more on either side."""
    return {**_page(room, page), "older": page.older, "newer": page.newer}


def _page(room: "Room", page: "Page") -> JSON:
    return {
        "messages": [message(room, each) for each in page.messages],
        "head": page.head,
        "epoch": page.epoch,
    }


def message(room: "Room", said: "Message") -> JSON:
    """One message, the same live, in a page of history and in the HTML."""
    keys = {
        "label": room.label,
        "seq": said.seq,
        "rev": said.rev,
        "handle": said.handle,
        "message": said.message,
        "timestamp": moment(said.timestamp),
        "mark": room.mark(said.author),
        # What follows is there if there is something to say.
        "id": said.client_id,
        "reply_to": said.reply_to,
        "kind": said.kind,
        "edited": said.edited_at and moment(said.edited_at),
        "deleted": said.deleted_at and True,
        "reactions": said.reactions
        and {key: [*map(room.mark, by)] for key, by in said.reactions.items()},
    }
    return {key: value for key, value in keys.items() if value is not None}


def head(room: "Room") -> JSON:
    """What everybody in the room should have by now."""
    return {"label": room.label, "head": room.head, "epoch": room.epoch}


@lru_cache(maxsize=1_000)  # a new message is told and acknowledged
def moment(when: datetime) -> str:
    """ISO 8601 in UTC, to the millisecond."""
    return when.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

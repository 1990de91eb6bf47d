"""The payloads that clients send (classes) and receive (functions).

A key of a message that is stored is also a column: see chat/models.py. Payloads of presence are
built in presence/roster.py. docs/protocol.md describes them all.
"""

from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self, TypeAlias

from pydantic import ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from chat.errors import Refusal
from chat.moderation.expiry import expiry_seconds
from chat.moderation.rules import public_rules
from chat.payload import ClientId, Limit, Mark, Number, Payload
from chat.text.emoji import is_emoji
from chat.text.validation import Handle, MessageText, RoomName, Text

if TYPE_CHECKING:
    from chat.models import MessagePage, MessageRow, Room, RoomHead, RoomRow
    from chat.storage.commands import CommandResult

JSON: TypeAlias = dict[str, Any]

PROTOCOL_VERSION = 1
"""Sent in the answer to `join`; explained in docs/protocol.md, section Stability."""


class Join(Payload):
    """Enter a room. `after` is the number up to which the client already has every change.

    `password` is that of the room, if it has one.
    """

    label: Text
    after: Number | None = None
    password: Text | None = None


class Chat(Payload):
    """Post a message. `id` makes it safe to send it twice.

    `handle` and `message` are the keys of the original chat; the others are optional.
    """

    handle: Handle
    message: MessageText
    id: ClientId | None = None
    reply_to: Number | None = None


class Since(Payload):
    """Catch up: request the messages that changed after a number."""

    after: Number
    limit: Limit = 200


class History(Payload):
    """Request a page of messages: before, after or around a sequence number, or the last ones."""

    before: Number | None = None
    after: Number | None = None
    around: Number | None = None
    limit: Limit = 50

    @model_validator(mode="after")
    def _check_one_direction(self) -> Self:
        if len(self.model_fields_set & {"before", "after", "around"}) > 1:
            raise PydanticCustomError("directions", "use only one of before, after and around")
        return self


class Edit(Payload):
    """Replace the text of a message."""

    seq: Number
    message: MessageText


class Delete(Payload):
    """Delete a message."""

    seq: Number


class React(Payload):
    """Add a reaction to a message, or remove it (`on` is false)."""

    seq: Number
    on: bool  # before `emoji`, whose validation depends on it
    emoji: Text

    @field_validator("emoji")
    @classmethod
    def _check_emoji(cls, text: str, info: ValidationInfo) -> str:
        # Earlier versions accepted more than emoji: what is stored can still be removed.
        is_removal = info.data.get("on") is False
        if not is_removal and not is_emoji(text):
            raise PydanticCustomError("emoji", "is not a single emoji")
        return text


class Rename(Payload):
    """Use another handle in the room."""

    handle: Handle


class Typing(Payload):
    """Announce that the person with this handle is typing."""

    handle: Handle


class Title(Payload):
    """Set the display name of the room; an empty text removes it."""

    name: RoomName
    handle: Handle | None = None


class Leave(Payload):
    """Leave the room."""


class Moderate(Payload):
    """An action of a host or moderator. Each action has the arguments that ARGUMENTS lists.

    `seconds` is left out for a sanction without an end, or for everything a person wrote.
    """

    action: Text
    target: Mark | None = None
    seconds: int | None = None
    address: bool = False
    by: Literal["all", "hosts"] | None = None
    password: Text | None = None
    secret: Text | None = None

    @model_validator(mode="after")
    def _check_arguments(self) -> Self:
        arguments = ARGUMENTS.get(self.action)
        if arguments is None:
            raise PydanticCustomError("action", "there is no such action")
        given = self.model_fields_set - {"action"}
        if not arguments.required <= given <= arguments.required | arguments.optional:
            raise PydanticCustomError("arguments", "has not the arguments of this action")
        # What a room's expiry may be depends on settings, so moderation.actions checks it.
        allowed = ALLOWED_SECONDS.get(self.action)
        if "seconds" in given and allowed is not None and self.seconds not in allowed:
            raise PydanticCustomError("seconds", "is not one of the durations of this action")
        return self


class Arguments(NamedTuple):
    """The keys of an action beside `action`."""

    required: frozenset[str] = frozenset()
    optional: frozenset[str] = frozenset()


_TARGET = Arguments(frozenset({"target"}))
_TARGET_AND_TIME = Arguments(frozenset({"target"}), frozenset({"seconds"}))
_SECONDS = Arguments(frozenset({"seconds"}))

ARGUMENTS: dict[str, Arguments] = {
    "delete_all": _TARGET_AND_TIME,
    "mute": _TARGET_AND_TIME,
    "unmute": _TARGET,
    "remove": _TARGET,
    "readmit": _TARGET,
    "ban": Arguments(frozenset({"target"}), frozenset({"address"})),
    "unban": _TARGET,
    "lock": Arguments(),
    "unlock": Arguments(),
    "slow_mode": _SECONDS,
    "naming": Arguments(frozenset({"by"})),
    "password": Arguments(frozenset({"password"})),
    "expiry": _SECONDS,
    "clear": Arguments(),
    "close": Arguments(),
    "appoint": _TARGET,
    "dismiss": _TARGET,
    "hand_over": _TARGET,
    "become_host": Arguments(),
    "host_link": Arguments(),
    "use_host_link": Arguments(frozenset({"secret"})),
}
"""The actions of hosts and moderators, and their arguments."""

ALLOWED_SECONDS: dict[str, tuple[int, ...]] = {
    "delete_all": (3_600, 86_400),
    "mute": (600, 3_600, 86_400),
    "slow_mode": (0, 5, 10, 30, 60, 300, 600),
}


def ok(*parts: JSON) -> JSON:
    """Return the acknowledgement of an event that succeeded: `ok`, and the keys of all parts."""
    answer: JSON = {"ok": True}
    for part in parts:
        answer.update(part)
    return answer


def refused(refusal: Refusal) -> JSON:
    """Return the acknowledgement of an event that was refused."""
    answer: JSON = {
        "ok": False,
        "code": refusal.code,
        "message": str(refusal),
        "retry": refusal.retry,
    }
    if refusal.retry_after_ms is not None:
        answer["retry_after_ms"] = refusal.retry_after_ms
    if refusal.suggestion is not None:
        answer["suggestion"] = refusal.suggestion
    return answer


def joined(room: "Room", page: "MessagePage") -> JSON:
    """Return the answer to `join`: the room and its latest messages, or the missed ones."""
    answer = {
        "protocol": PROTOCOL_VERSION,
        "label": room.label,
        "name": page.name,
        "rules": public_rules(page.rules, expiry_seconds(page.rules)),
        **changes(room, page),
    }
    if page.missed is None:
        answer["older"] = page.older
    else:
        answer["missed"] = page.missed
    return answer


def posted(result: "CommandResult") -> JSON:
    """Return the answer to `chat`: the numbers of the stored message."""
    message = result.message
    assert message is not None, "a post always results in a message"  # noqa: S101
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
    """Return changed messages, and the number up to which the client then has every change."""
    return {**_page(room, page), "upto": page.upto}


def history(room: "Room", page: "MessagePage") -> JSON:
    """Return a page of messages, and whether there are older and newer ones."""
    return {**_page(room, page), "older": page.older, "newer": page.newer}


def _page(room: "Room", page: "MessagePage") -> JSON:
    rows = [message(room, row) for row in page.messages]
    payload: JSON = {"messages": rows, "head": page.head, "epoch": page.epoch}
    if page.floor:
        payload["floor"] = page.floor
    return payload


def message(room: "Room | RoomRow", row: "MessageRow") -> JSON:
    """Return one message: the same payload in a broadcast, in an answer and for the HTML page."""
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
    if row.details is not None:
        payload["details"] = row.details
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


def head(room: "RoomHead") -> JSON:
    """Return the payload of the event `head`."""
    payload: JSON = {"label": room.label, "head": room.head, "epoch": room.epoch}
    if room.floor:
        payload["floor"] = room.floor
    return payload


@lru_cache(maxsize=1_000)  # a new message is formatted for its broadcast and for its answer
def iso_timestamp(when: datetime) -> str:
    """Return a time as ISO 8601 in UTC, with milliseconds and `Z`."""
    return when.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

"""What each kind of change makes of a message. Nothing here touches the database."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeAlias

from chat import broadcasts
from chat.errors import Full, Gone, IdTaken, NotFound, NotYours
from chat.models import Message, Room, messages

COLUMNS = tuple(column.key for column in messages.columns)
EMOJI_AT_MOST = 20  # different ones to a message
PEOPLE_AT_MOST = 100  # to an emoji
Key: TypeAlias = str | int | None  # the id or seq by which a message is known in its room


@dataclass
class Change:
    """Something somebody wants stored, and in the end what became of it. `asked` is what `apply` needs to know.

    When `apply` is called, `room` is as it stands, locked; what `apply` makes of it is stored.
    """

    room: Room
    author: str
    asked: Any
    done: bool = False
    failure: Exception | None = None
    message: Message = field(init=False)  # as it stands afterwards
    head: int = 0  # of the room, then
    duplicate: bool = False  # all was so already

    tell = staticmethod(broadcasts.change)

    @property
    def is_new(self) -> bool:
        """Whether the message stands for the first time."""
        return self.message.seq == self.message.rev

    @property
    def key(self) -> Key:
        """By what the message is known that this repeats or changes."""
        seq: int = self.asked.seq
        return seq

    @property
    def answers(self) -> int | None:
        """The message it answers, which has to be there."""
        return None

    def apply(self, known: Message | None, number: int) -> Message:
        """The message as it shall stand, with `number` as its rev; or `known`, when it stands so. Raises Refused."""
        raise NotImplementedError

    def own(self, known: Message | None) -> Message:
        """The message, when it is there and its author asks."""
        known = said(known)
        if known.author != self.author:
            raise NotYours
        return known


class Post(Change):
    """Say something. Saying it twice with the same id says it once."""

    tell = staticmethod(broadcasts.chat)

    @property
    def key(self) -> Key:
        """The id its sender gave it."""
        client_id: str | None = self.asked.id
        return client_id

    @property
    def answers(self) -> int | None:
        """The message it answers, which has to be there."""
        seq: int | None = self.asked.reply_to
        return seq

    def apply(self, known: Message | None, number: int) -> Message:
        """A new message."""
        if known is None:
            return Message(
                room_id=self.room.id,
                seq=number,
                rev=number,
                author=self.author,
                client_id=self.asked.id,
                handle=self.asked.handle,
                message=self.asked.message,
                timestamp=datetime.now(UTC),
                reply_to=self.asked.reply_to,
            )
        if known.message != self.asked.message and known.rev == known.seq:
            raise IdTaken
        return known


class Edit(Change):
    """Say it differently."""

    def apply(self, known: Message | None, number: int) -> Message:
        """The message with another text."""
        known = self.own(known)
        if known.deleted_at is not None:
            raise Gone
        if known.message == self.asked.message:
            return known
        return _changed(known, rev=number, message=self.asked.message, edited_at=datetime.now(UTC))


class Delete(Change):
    """Take it back: the text is erased, its place remains."""

    def apply(self, known: Message | None, number: int) -> Message:
        """The message without its text."""
        known = self.own(known)
        if known.deleted_at is not None:
            return known
        return _changed(known, rev=number, message="", reactions=None, deleted_at=datetime.now(UTC))


class React(Change):
    """Put an emoji to a message, or take it back."""

    def apply(self, known: Message | None, number: int) -> Message:
        """The message with the emoji of this person, or without it; an emoji that is nobody's is gone."""
        known = said(known)
        if known.deleted_at is not None:
            raise Gone
        before = known.reactions or {}
        by = before.get(self.asked.emoji, [])
        if self.asked.on == (self.author in by):
            return known
        if self.asked.on and (len(by) >= PEOPLE_AT_MOST or (not by and len(before) >= EMOJI_AT_MOST)):
            raise Full
        after = [*by, self.author] if self.asked.on else [each for each in by if each != self.author]
        reactions = {emoji: people for emoji, people in (before | {self.asked.emoji: after}).items() if people}
        return _changed(known, rev=number, reactions=reactions or None)


class Line(Change):
    """What the room itself says: a line of a `kind`, which nobody can change."""

    kind: str
    tell = staticmethod(broadcasts.chat)

    @property
    def key(self) -> Key:
        """It repeats no message."""
        return None

    def line(self, number: int, handle: str, text: str) -> Message:
        """A new line; it is not stored when its number has been taken."""
        return Message(
            room_id=self.room.id,
            seq=number,
            rev=number,
            author=self.author,
            handle=handle,
            message=text,
            timestamp=datetime.now(UTC),
            kind=self.kind,
        )


class Title(Line):
    """Give the room another name: a line in the room says so, and is how everybody learns of it."""

    kind = "title"

    def apply(self, known: Message | None, number: int) -> Message:
        """A new line, whose text is the name; when it is so already, one that is not stored."""
        number -= self.room.name == self.asked.name
        self.room.name = self.asked.name
        return self.line(number, self.asked.handle or "", self.asked.name)


@dataclass
class Rename(Line):
    """Go by another name: a line in the room says so. Who went by none there, or by this one, needs no line."""

    before: str | None = None

    kind = "rename"

    def apply(self, known: Message | None, number: int) -> Message:
        """A new line, from the name before to the new one; when there is nothing to say, one that is not stored."""
        number -= self.before in (None, self.asked.handle)
        return self.line(number, self.before or "", self.asked.handle)


def said(known: Message | None) -> Message:
    """The message, when it is there and somebody's: a line of the room is nobody's. Raises NotFound."""
    if known is None or known.kind is not None:
        raise NotFound("There is no such message in this room.")
    return known


def _changed(known: Message, /, **new: object) -> Message:
    return Message(**(values(known) | new))


def values(message: Message, columns: tuple[str, ...] = COLUMNS) -> dict[str, object]:
    """A message's columns, as the database takes them."""
    there = vars(message)
    return {column: there.get(column) for column in columns}

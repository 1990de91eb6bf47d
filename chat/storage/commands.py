"""What each kind of change makes of a message. Nothing here touches the database."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeAlias, cast

from chat.errors import Gone, IdTaken, NotFound, NotYours, TooManyReactions
from chat.models import BLANK, Message, Room, Standing

MAX_EMOJI_PER_MESSAGE = 20  # different ones to a message
MAX_PEOPLE_PER_EMOJI = 100  # to an emoji
Key: TypeAlias = str | int | None  # the id or seq by which a message is known in its room


@dataclass
class Command:
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

    @property
    def is_new(self) -> bool:
        """Whether the message stands for the first time."""
        return self.message.seq == self.message.rev

    @property
    def key(self) -> Key:
        """By what the message is known that this repeats or changes: the id its sender gave it, or its seq."""
        return getattr(self.asked, "id", None) or getattr(self.asked, "seq", None)

    @property
    def answers(self) -> int | None:
        """The message it answers, which has to be there."""
        return getattr(self.asked, "reply_to", None)

    def apply(self, known: Message | None, number: int) -> Message:
        """The message as it shall stand, with `number` as its rev; or `known`, when it stands so. Raises Refused."""
        raise NotImplementedError

    def new(self, number: int, **columns: object) -> Message:
        """A message that was not there before; it is not stored when its number has been taken."""
        numbers = {"room_id": self.room.id, "seq": number, "rev": number}
        return _message(None, author=self.author, timestamp=datetime.now(UTC), **numbers, **columns)

    def own(self, known: Message | None) -> Message:
        """The message, when it is there and its author asks."""
        known = said(known)
        if known.author != self.author:
            raise NotYours
        return known


class PostMessage(Command):
    """Say something. Saying it twice with the same id says it once."""

    def apply(self, known: Message | None, number: int) -> Message:
        asked = self.asked
        if known is None:
            text = {"handle": asked.handle, "message": asked.message}
            return self.new(number, client_id=asked.id, reply_to=asked.reply_to, **text)
        if known.message != asked.message and known.rev == known.seq:
            raise IdTaken
        return known


class EditMessage(Command):
    """Say it differently."""

    def apply(self, known: Message | None, number: int) -> Message:
        known = self.own(known)
        if known.deleted_at is not None:
            raise Gone
        if known.message == self.asked.message:
            return known
        return _message(known, rev=number, message=self.asked.message, edited_at=datetime.now(UTC))


class DeleteMessage(Command):
    """Take it back: the text is erased, its place remains."""

    def apply(self, known: Message | None, number: int) -> Message:
        known = self.own(known)
        if known.deleted_at is not None:
            return known
        return _message(known, rev=number, message="", reactions=None, deleted_at=datetime.now(UTC))


class ReactToMessage(Command):
    """Put an emoji to a message, or take it back; an emoji that is nobody's is gone."""

    def apply(self, known: Message | None, number: int) -> Message:
        known = said(known)
        if known.deleted_at is not None:
            raise Gone
        before = known.reactions or {}
        by = before.get(self.asked.emoji, [])
        if self.asked.on == (self.author in by):
            return known
        if self.asked.on and (
            len(by) >= MAX_PEOPLE_PER_EMOJI or (not by and len(before) >= MAX_EMOJI_PER_MESSAGE)
        ):
            raise TooManyReactions
        after = (
            [*by, self.author] if self.asked.on else [each for each in by if each != self.author]
        )
        reactions = {
            emoji: people
            for emoji, people in (before | {self.asked.emoji: after}).items()
            if people
        }
        return _message(known, rev=number, reactions=reactions or None)


class SetTitle(Command):
    """Give the room another name: a line in the room says so, and is how everybody learns of it."""

    def apply(self, known: Message | None, number: int) -> Message:
        number -= self.room.name == self.asked.name
        self.room.name = self.asked.name
        return self.new(
            number, kind="title", handle=self.asked.handle or "", message=self.asked.name
        )


@dataclass
class RenameAuthor(Command):
    """Go by another name: a line in the room says so. Who went by none there, or by this one, needs no line."""

    before: str | None = None

    def apply(self, known: Message | None, number: int) -> Message:
        number -= self.before in (None, self.asked.handle)
        return self.new(number, kind="rename", handle=self.before or "", message=self.asked.handle)


def said(known: Message | None) -> Message:
    """The message, when it is there and somebody's: a line of the room is nobody's. Raises NotFound."""
    if known is None or known.kind is not None:
        raise NotFound("There is no such message in this room.")
    return known


def _message(known: Message | None, /, **new: object) -> Message:
    return cast(Message, Standing(**((vars(known) if known else BLANK) | new)))

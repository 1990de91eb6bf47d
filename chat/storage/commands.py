"""Commands: the changes that people can request, and what each does to a message or its room.

A command decides; the journal stores. Nothing here touches the database.
"""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TypeAlias

from chat.errors import Gone, IdTaken, NotFound, NotYours, TooManyReactions
from chat.models import NO_AUTHOR, MessageRow, Room, RoomRow

MAX_EMOJI_PER_MESSAGE = 20
MAX_PEOPLE_PER_EMOJI = 100

MessageKey: TypeAlias = str | int
"""How a command names a message of its room: by `client_id` (text) or by `seq` (number)."""


@dataclass(frozen=True)
class Unchanged:
    """The outcome of a command that changes nothing: it consumes no sequence number.

    `message` is the stored message it names; None when the command names none.
    """

    message: MessageRow | None = None


@dataclass(frozen=True)
class CommandResult:
    """What the journal answers to a command.

    `rev` is the number of the change, or for an unchanged message the number of its last change.
    `head` is the room's last number at that moment.
    """

    message: MessageRow | None
    rev: int
    head: int
    duplicate: bool

    @property
    def seq(self) -> int | None:
        """The position of the message that the command names or made."""
        return None if self.message is None else self.message.seq


@dataclass
class Command:
    """One requested change by one author in one room.

    The journal sets `done` together with either `result` or `failure`.
    """

    room: Room
    author: str
    done: bool = field(default=False, init=False)
    failure: Exception | None = field(default=None, init=False)
    result: CommandResult | None = field(default=None, init=False)

    @property
    def target(self) -> MessageKey | None:
        """The message that the command repeats or changes; None for one that makes a message."""
        return None

    @property
    def replied_to(self) -> int | None:
        """The `seq` of a message that has to exist for the command to be valid."""
        return None

    def apply(self, room: RoomRow, target: MessageRow | None, number: int) -> "Outcome":
        """Return the message to be stored, with `number` as its `rev`, or Unchanged.

        `room` and `target` are as stored, locked; `target` is None when no such message exists.
        A command that changes the room changes `room`. Raises Refusal.
        """
        raise NotImplementedError


Outcome: TypeAlias = MessageRow | Unchanged


@dataclass
class PostMessage(Command):
    """Post a message. Repeating it with the same `client_id` is idempotent."""

    handle: str
    message: str
    client_id: str | None = None
    reply_to: int | None = None

    @property
    def target(self) -> MessageKey | None:
        """An earlier attempt to post the same message."""
        return self.client_id

    @property
    def replied_to(self) -> int | None:
        """The message that this one answers."""
        return self.reply_to

    def apply(self, room: RoomRow, target: MessageRow | None, number: int) -> Outcome:
        """Return the new message; raise IdTaken when another text was posted with this id."""
        if target is None:
            return MessageRow(
                room_id=room.id,
                seq=number,
                rev=number,
                author=self.author,
                client_id=self.client_id,
                handle=self.handle,
                message=self.message,
                timestamp=datetime.now(UTC),
                reply_to=self.reply_to,
            )
        was_changed_since = target.rev != target.seq
        if target.message != self.message and not was_changed_since:
            raise IdTaken
        return Unchanged(target)


@dataclass
class MessageCommand(Command):
    """A command that changes an existing message, which it names by its `seq`."""

    seq: int

    @property
    def target(self) -> MessageKey | None:
        """The message to change."""
        return self.seq

    def _check_author(self, message: MessageRow) -> None:
        """Raise NotYours unless the message is of the author of this command."""
        if message.author != self.author:
            raise NotYours


@dataclass
class EditMessage(MessageCommand):
    """Replace the text of one's own message."""

    message: str

    def apply(self, room: RoomRow, target: MessageRow | None, number: int) -> Outcome:
        """Return the edited message. Raises NotFound, NotYours, Gone when it was deleted."""
        message = _user_message(target)
        if message.deleted_at is not None:
            raise Gone
        self._check_author(message)
        if message.message == self.message:
            return Unchanged(message)
        return replace(message, rev=number, message=self.message, edited_at=datetime.now(UTC))


@dataclass
class DeleteMessage(MessageCommand):
    """Delete one's own message: text, handle and author are erased, its sequence number remains.

    Who wrote a deleted message is not known any more. So deleting it again succeeds for everybody,
    which makes a late retry idempotent, and tells nobody whose message it was.
    """

    def apply(self, room: RoomRow, target: MessageRow | None, number: int) -> Outcome:
        """Return the tombstone. Raises NotFound, NotYours."""
        message = _user_message(target)
        if message.deleted_at is not None:
            return Unchanged(message)
        self._check_author(message)
        return replace(
            message,
            rev=number,
            author=NO_AUTHOR,
            handle="",
            message="",
            reactions=None,
            deleted_at=datetime.now(UTC),
        )


@dataclass
class ReactToMessage(MessageCommand):
    """Add one's reaction to a message, or remove it (`on` is False)."""

    emoji: str
    on: bool

    def apply(self, room: RoomRow, target: MessageRow | None, number: int) -> Outcome:
        """Return the message with its reactions. Raises NotFound, Gone, TooManyReactions."""
        message = _user_message(target)
        if message.deleted_at is not None:
            raise Gone
        reactions = dict(message.reactions or {})
        authors = list(reactions.get(self.emoji, []))
        if self.on == (self.author in authors):
            return Unchanged(message)
        if self.on:
            self._check_limits(reactions, authors)
            authors.append(self.author)
        else:
            authors.remove(self.author)
        reactions[self.emoji] = authors
        if not authors:
            del reactions[self.emoji]
        return replace(message, rev=number, reactions=reactions or None)

    @staticmethod
    def _check_limits(reactions: dict[str, list[str]], authors: list[str]) -> None:
        if len(authors) >= MAX_PEOPLE_PER_EMOJI:
            raise TooManyReactions
        if not authors and len(reactions) >= MAX_EMOJI_PER_MESSAGE:
            raise TooManyReactions


@dataclass
class SetTitle(Command):
    """Set or remove the name of the room. A system message announces it."""

    name: str
    handle: str = ""

    def apply(self, room: RoomRow, target: MessageRow | None, number: int) -> Outcome:
        """Change `room.name` and return the system message."""
        if room.name == self.name:
            return Unchanged()
        room.name = self.name
        return _system_message(
            room, number, self.author, kind="title", handle=self.handle, message=self.name
        )


@dataclass
class ChangeHandle(Command):
    """Use another handle. A system message announces it, if the author had one before.

    `previous_handle` is the one last used in this room; None when there is none.
    """

    handle: str
    previous_handle: str | None

    def apply(self, room: RoomRow, target: MessageRow | None, number: int) -> Outcome:
        """Return the system message."""
        if self.previous_handle is None or self.previous_handle == self.handle:
            return Unchanged()
        return _system_message(
            room,
            number,
            self.author,
            kind="rename",
            handle=self.previous_handle,
            message=self.handle,
        )


def _user_message(message: MessageRow | None) -> MessageRow:
    """Return the message if it exists and a person wrote it. Raises NotFound."""
    if message is None or message.kind is not None:
        raise NotFound("There is no such message in this room.")
    return message


def _system_message(
    room: RoomRow, number: int, author: str, *, kind: str, handle: str, message: str
) -> MessageRow:
    return MessageRow(
        room_id=room.id,
        seq=number,
        rev=number,
        author=author,
        client_id=None,
        handle=handle,
        message=message,
        timestamp=datetime.now(UTC),
        kind=kind,
    )

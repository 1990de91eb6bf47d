"""Commands: the changes that people can request, and what each does to a message or its room.

A command decides; the journal stores. Nothing here touches the database.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TypeAlias

from chat.errors import Gone, IdTaken, NotFound, NotYours, TooManyReactions
from chat.models import NO_AUTHOR, Details, MessageRow, Room, RoomRow
from chat.moderation import rules
from chat.moderation.address_hash import hash_address
from chat.moderation.names import NO_CLAIM, HeldName, NameClaim, held_until
from chat.moderation.rules import utc_now
from chat.storage.effects import Effect, HoldName, LogAction, NotePost
from chat.text.skeletons import skeleton

MAX_EMOJI_PER_MESSAGE = 20
MAX_PEOPLE_PER_EMOJI = 100

NAME_KINDS = frozenset({"rename", "title"})
"""The kinds of system messages that show names which people have chosen."""

MessageKey: TypeAlias = str | int
"""How a command names a message of its room: by `client_id` (text) or by `seq` (number)."""


@dataclass(frozen=True)
class Unchanged:
    """The outcome of a command that changes nothing: it consumes no sequence number.

    `message` is the stored message it names; None when the command names none. Something may have
    to be written to other tables all the same.
    """

    message: MessageRow | None = None
    effects: list[Effect] = field(default_factory=list)


@dataclass(frozen=True)
class Change:
    """A message to be stored, and what is written to other tables in the same transaction."""

    message: MessageRow
    effects: list[Effect] = field(default_factory=list)


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
    claim: NameClaim = field(default=NO_CLAIM, kw_only=True)
    done: bool = field(default=False, init=False)
    failure: Exception | None = field(default=None, init=False)
    result: CommandResult | None = field(default=None, init=False)
    _mark: str | None = field(default=None, init=False, repr=False)

    @property
    def target(self) -> MessageKey | None:
        """The message that the command repeats or changes; None for one that makes a message."""
        return None

    @property
    def replied_to(self) -> int | None:
        """The `seq` of a message that has to exist for the command to be valid."""
        return None

    @property
    def mark(self) -> str:
        """The mark of the author in the room."""
        if self._mark is None:
            self._mark = self.room.mark(self.author)
        return self._mark

    @property
    def marks(self) -> set[str]:
        """The people whose sanctions decide whether the command is allowed."""
        return {self.mark}

    @property
    def acts_on_people(self) -> bool:
        """Whether sanctions have to be read even if the room had none so far."""
        return False

    @property
    def claimed_handle(self) -> str | None:
        """The name under which the command announces its author; None when it announces none."""
        return None

    def check(self, room: RoomRow, now: datetime) -> None:
        """Check whether the author may do this in the room, before `apply`. Raises Refusal."""
        if room.rules.lets_everybody_write:
            return
        rules.check_may_write(room.rules, room.person(self.mark), now)

    def apply(self, room: RoomRow, target: MessageRow | None, number: int) -> "Outcome":
        """Return the change, whose message has `number` as its `rev`, or Unchanged.

        `room` and `target` are as stored, locked; `target` is None when no such message exists.
        A command that changes the room changes `room`. Raises Refusal.
        """
        raise NotImplementedError

    def claim_name(self, room: RoomRow) -> list[Effect]:
        """Check that the author may use the claimed handle; return what makes it theirs.

        A name that is not in `room.names.to_check` was allowed recently and is accepted. Raises
        NameTaken.
        """
        handle = self.claimed_handle
        if handle is None or not (room.names.to_check or room.names.gave_up):
            return []
        mark = self.mark
        if not room.names.check(mark, handle, room.rules.hosts, utc_now()):
            return []
        effects = self._hold_name(room, handle) if self.claim.is_known else []
        room.names.allowed[mark, handle] = room.names_version
        return effects

    def _hold_name(self, room: RoomRow, handle: str) -> list[Effect]:
        """Let the author hold a name, instead of the one they held before."""
        mark = self.mark
        before = room.names.held.get(mark)
        name = HeldName(mark, skeleton(handle), held_until(utc_now()))
        room.names.add(name)
        if before is not None and before.skeleton != name.skeleton:
            room.names_version += 1
            room.names.gave_up.add(mark)
        hold = HoldName(
            room.id,
            mark,
            handle,
            name.skeleton,
            name.held_until,
            hash_address(room.label, self.claim.address),
            is_new=before is None,
        )
        return [hold]


Outcome: TypeAlias = Change | Unchanged


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

    @property
    def claimed_handle(self) -> str | None:
        """The name of the author."""
        return self.handle

    def apply(self, room: RoomRow, target: MessageRow | None, number: int) -> Outcome:
        """Return the new message.

        Raises IdTaken when another text was posted with this id, SlowMode, NameTaken.
        """
        if target is None:
            now = utc_now()
            effects = self._check_slow_mode(room, now) if room.rules.slow_mode_seconds else []
            effects += self.claim_name(room)
            message = MessageRow(
                room_id=room.id,
                seq=number,
                rev=number,
                author=self.author,
                client_id=self.client_id,
                handle=self.handle,
                message=self.message,
                timestamp=now,
                reply_to=self.reply_to,
            )
            return Change(message, effects)
        was_changed_since = target.rev != target.seq
        if target.message != self.message and not was_changed_since:
            raise IdTaken
        return Unchanged(target)

    def _check_slow_mode(self, room: RoomRow, now: datetime) -> list[Effect]:
        """Raise SlowMode when the author posted a moment ago; else note that they post now."""
        person = room.person(self.mark)
        if person.role is not None:
            return []
        rules.check_slow_mode(room.rules, person, now)
        person.standing.posted_at = now
        return [NotePost(room.id, self.mark, now)]


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
        return Change(replace(message, rev=number, message=self.message, edited_at=utc_now()))


@dataclass
class DeleteMessage(MessageCommand):
    """Delete a message: text, handle and author are erased, its sequence number remains.

    Authors delete their own messages, also while they are muted or the room is locked. Hosts,
    moderators and the operator delete those of others. Who wrote a deleted message is not known any
    more. So deleting it again succeeds for everybody, which makes a late retry idempotent, and
    tells nobody whose message it was.
    """

    is_operator: bool = False

    def check(self, room: RoomRow, now: datetime) -> None:
        """Check whether the author may be in the room. Raises Closed, Banned, Removed."""
        if not self.is_operator and not room.rules.lets_everybody_write:
            rules.check_may_enter(room.rules, room.person(self.mark), now)

    def apply(self, room: RoomRow, target: MessageRow | None, number: int) -> Outcome:
        """Return the tombstone, which is one of a message. Raises NotFound, NotYours, Forbidden."""
        message = self._deletable(room, target)
        if message.deleted_at is not None:
            return Unchanged(message)
        tombstone = replace(erased(message, number), kind=None)
        if message.author == self.author:
            return Change(tombstone)
        self._check_role(room, message)
        log = LogAction(room.id, self.mark, "", "delete", room.mark(message.author))
        return Change(replace(tombstone, details={"action": "delete"}), [log])

    def _deletable(self, room: RoomRow, target: MessageRow | None) -> MessageRow:
        """Return the message if it is one that can be deleted.

        Those with a role, and the operator, also delete what people write into names. Raises
        NotFound.
        """
        if target is None or target.kind not in NAME_KINDS:
            return _user_message(target)
        if not self.is_operator and room.rules.role(self.mark) is None:
            return _user_message(target)
        return target

    def _check_role(self, room: RoomRow, message: MessageRow) -> None:
        """Check that a host or moderator may delete the message of another. Raises Refusal."""
        if self.is_operator:
            return
        person = room.person(self.mark)
        if person.role is None:
            raise NotYours
        author = room.person(room.mark(message.author))
        rules.check_may_act_on(room.rules, person, author, utc_now())


def erased(message: MessageRow, number: int) -> MessageRow:
    """Return the tombstone of a message."""
    return replace(
        message,
        rev=number,
        author=NO_AUTHOR,
        handle="",
        message="",
        reactions=None,
        deleted_at=utc_now(),
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
        return Change(replace(message, rev=number, reactions=reactions or None))

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

    @property
    def claimed_handle(self) -> str | None:
        """The name of the author, if it is known."""
        return self.handle or None

    def apply(self, room: RoomRow, target: MessageRow | None, number: int) -> Outcome:
        """Change `room.name` and return the system message. Raises Forbidden, NameTaken."""
        if room.rules.only_hosts_name:
            rules.check_may_name_room(room.rules, room.person(self.mark))
        if room.name == self.name:
            return Unchanged()
        effects = self.claim_name(room)
        room.name = self.name
        message = system_message(
            room, number, self.author, kind="title", handle=self.handle, message=self.name
        )
        return Change(message, effects)


@dataclass
class ChangeHandle(Command):
    """Use another handle. A system message announces it, if the author had one before."""

    handle: str

    @property
    def claimed_handle(self) -> str | None:
        """The new name of the author."""
        return self.handle

    def apply(self, room: RoomRow, target: MessageRow | None, number: int) -> Outcome:
        """Return the system message. Raises NameTaken."""
        effects = self.claim_name(room)
        previous_handle = room.handles.get(self.author)
        if previous_handle is None or previous_handle == self.handle:
            return Unchanged(effects=effects)
        room.handles[self.author] = self.handle
        message = system_message(
            room,
            number,
            self.author,
            kind="rename",
            handle=previous_handle,
            message=self.handle,
        )
        return Change(message, effects)


def _user_message(message: MessageRow | None) -> MessageRow:
    """Return the message if it exists and a person wrote it. Raises NotFound."""
    if message is None or message.kind is not None:
        raise NotFound("There is no such message in this room.")
    return message


def system_message(
    room: RoomRow,
    number: int,
    author: str,
    *,
    kind: str,
    handle: str,
    message: str,
    details: Details | None = None,
) -> MessageRow:
    """Return a message from the room itself about what somebody did."""
    return MessageRow(
        room_id=room.id,
        seq=number,
        rev=number,
        author=author,
        client_id=None,
        handle=handle,
        message=message,
        timestamp=utc_now(),
        kind=kind,
        details=details,
    )

"""Erases everything that one person has written in a room, and what names them.

Each message is erased by its own change, which takes its own number: browsers that show it erase it
too. The commands are stored in small batches with pauses, so that others hardly wait.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from math import inf

from sqlalchemy import Connection, delete, update

from chat.errors import Busy
from chat.models import NO_AUTHOR, MessageRow, Room, RoomRow, rooms
from chat.moderation.expiry import expiry_seconds
from chat.moderation.rules import public_rules
from chat.moderation.tables import known_names, moderation_log, reports, sanctions
from chat.storage.commands import Change, Command, MessageCommand, Outcome, Unchanged, erased
from chat.storage.database import write_transaction
from chat.storage.journal import Journal
from chat.storage.personal_data import (
    MODERATION,
    Traces,
    announcements_about,
    given_reactions,
    is_about,
    is_by_or_about,
    traces,
)

BATCH_COMMANDS = 20
BATCH_PAUSE_SECONDS = 0.02
"""Between batches: at most a thousand changes a second, which browsers can follow."""

ERASED_SENTENCE = "The names in this entry have been erased."
"""Replaces the sentence of an entry of the moderation log."""


@dataclass(frozen=True)
class Progress:
    """How far an erasure has come: everything up to the number `after` is erased."""

    after: int
    erased: int
    is_complete: bool


@dataclass
class EraseTrace(MessageCommand):
    """Erase a message by the author, or a system message by or about them.

    Allowed in a locked or closed room, and to people under sanctions.
    """

    def check(self, room: RoomRow, now: datetime) -> None:
        """Check nothing: everybody may erase what is theirs."""

    def apply(self, room: RoomRow, target: MessageRow | None, number: int) -> Outcome:
        """Return the tombstone; Unchanged when the message does not concern the author."""
        if target is None or target.deleted_at is not None:
            return Unchanged(target)
        if not is_by_or_about(target, self.author, self.mark):
            return Unchanged(target)
        return Change(_tombstone(room, target, number))


@dataclass
class EraseAnnouncement(MessageCommand):
    """Erase a system message about the person with the mark `subject`, whose author id is unknown.

    Always allowed, as EraseTrace is.
    """

    subject: str

    def check(self, room: RoomRow, now: datetime) -> None:
        """Check nothing: it is erased at the request of the person."""

    def apply(self, room: RoomRow, target: MessageRow | None, number: int) -> Outcome:
        """Return the tombstone; Unchanged when the message is not about the person."""
        if target is None or not is_about(target, self.subject):
            return Unchanged(target)
        return Change(_tombstone(room, target, number))


def _tombstone(room: RoomRow, message: MessageRow, number: int) -> MessageRow:
    """Return the tombstone of a message or of a system message.

    Clients learn the rules of a room from its messages of moderation, so tombstones of them have
    the current ones.
    """
    tombstone = erased(message, number)
    if message.kind != MODERATION:
        return replace(tombstone, kind=None)
    rules = public_rules(room.rules, expiry_seconds(room.rules))
    return replace(tombstone, details={"rules": rules})


@dataclass
class EraseReactions(MessageCommand):
    """Remove all reactions of the author from a message. Always allowed, as EraseTrace is."""

    def check(self, room: RoomRow, now: datetime) -> None:
        """Check nothing: everybody may erase what is theirs."""

    def apply(self, room: RoomRow, target: MessageRow | None, number: int) -> Outcome:
        """Return the message without the reactions; Unchanged when there are none."""
        if target is None or not given_reactions(target, self.author):
            return Unchanged(target)
        kept = {
            emoji: [each for each in authors if each != self.author]
            for emoji, authors in (target.reactions or {}).items()
        }
        reactions = {emoji: authors for emoji, authors in kept.items() if authors}
        return Change(replace(target, rev=number, reactions=reactions or None))


def _do_nothing() -> None:
    pass


def erase_person(
    journal: Journal,
    room: Room,
    author: str,
    *,
    after: int = 0,
    seconds: float = inf,
    pause: Callable[[], None] = _do_nothing,
) -> Progress:
    """Erase what a person has written in a room after the number `after`.

    Works for about `seconds`; when it is not complete, call it again with `after` of the result.
    `pause` is called now and then. At the end, what names the person outside of messages is erased
    too. Sanctions stay in force, without the name, and so do roles. Raises NotFound, Busy; what was
    erased before stays erased.
    """
    windows = (
        _Window(found.upto, _commands(room, author, found)) for found in traces(room, author, after)
    )
    progress = _store_windows(journal, windows, after, seconds, pause)
    if progress.is_complete:
        erase_records(room, room.mark(author))
    return progress


def erase_unknown_author(
    journal: Journal,
    room: Room,
    mark: str,
    *,
    after: int = 0,
    seconds: float = inf,
    pause: Callable[[], None] = _do_nothing,
) -> Progress:
    """Erase what names a person of whom the room has no message and no reaction, only the mark.

    These are announcements about them, and what names them outside of messages. Otherwise the same
    as erase_person. Raises NotFound, Busy.
    """
    windows = (
        _Window(
            found.upto, [EraseAnnouncement(room, NO_AUTHOR, row.seq, mark) for row in found.rows]
        )
        for found in announcements_about(room, mark, after)
    )
    progress = _store_windows(journal, windows, after, seconds, pause)
    if progress.is_complete:
        erase_records(room, mark)
    return progress


@dataclass(frozen=True)
class _Window:
    """The commands for a window of a room, which ends with the number `upto`."""

    upto: int
    commands: Sequence[MessageCommand]


def _store_windows(
    journal: Journal,
    windows: Iterable[_Window],
    after: int,
    seconds: float,
    pause: Callable[[], None],
) -> Progress:
    """Store the commands of windows, in batches, for about `seconds`. Raises NotFound, Busy."""
    deadline = time.monotonic() + seconds
    count = 0
    for window in windows:
        commands = window.commands
        for start in range(0, len(commands), BATCH_COMMANDS):
            batch = commands[start : start + BATCH_COMMANDS]
            count += _submit(journal, batch)
            after = batch[-1].seq
            if time.monotonic() > deadline:
                return Progress(after, count, is_complete=False)
            time.sleep(BATCH_PAUSE_SECONDS)
        after = window.upto
        if time.monotonic() > deadline:
            return Progress(after, count, is_complete=False)
        pause()
    return Progress(after, count, is_complete=True)


def _commands(room: Room, author: str, found: Traces) -> list[MessageCommand]:
    """Return the commands for the traces of a window, in the order of the messages."""
    commands: list[MessageCommand] = [
        EraseTrace(room, author, row.seq) for row in found.rows if row.deleted_at is None
    ]
    commands += [EraseReactions(room, author, row.seq) for row in found.reacted]
    commands.sort(key=lambda command: command.seq)
    return commands


def _submit(journal: Journal, commands: Sequence[MessageCommand]) -> int:
    """Store commands; return how many have changed something. Raises the first failure."""
    journal.submit_many(commands)
    return sum(_has_changed(command) for command in commands)


def _has_changed(command: Command) -> bool:
    if command.failure is not None:
        raise command.failure
    if command.result is None:
        raise Busy
    return not command.result.duplicate


def erase_records(room: Room, mark: str) -> None:
    """Erase what names a person outside of messages. Sanctions stay, without the name.

    Raises Busy.
    """
    names = known_names.c
    imposed = sanctions.c
    with write_transaction() as connection:
        # First: the journal locks the row of the room before it writes names, too.
        version = rooms.c.names_version + 1
        connection.execute(update(rooms).where(rooms.c.id == room.id).values(names_version=version))
        connection.execute(delete(known_names).where(names.room_id == room.id, names.mark == mark))
        of_person = imposed.room_id == room.id, imposed.mark == mark
        connection.execute(update(sanctions).where(*of_person).values(handle=""))
        _erase_log(connection, room, mark)
        _erase_reports(connection, room, mark)


def _erase_log(connection: Connection, room: Room, mark: str) -> None:
    """Erase the names in the entries by and about a person; what was done, and when, stays."""
    entries = moderation_log.c
    erased = {"mark": "", "handle": "", "target": "", "sentence": ERASED_SENTENCE}
    for column in (entries.mark, entries.target):
        of_person = entries.room_id == room.id, column == mark
        connection.execute(update(moderation_log).where(*of_person).values(erased))


def _erase_reports(connection: Connection, room: Room, mark: str) -> None:
    """Erase what a person has given as a reason, and the copies of their messages."""
    columns = reports.c
    by_person = columns.room_id == room.id, columns.reporter == mark
    connection.execute(update(reports).where(*by_person).values(reporter="", reason=""))
    about_person = columns.room_id == room.id, columns.target == mark
    erased = {"target": "", "handle": "", "message": ""}
    connection.execute(update(reports).where(*about_person).values(erased))

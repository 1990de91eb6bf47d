"""Reactions to one message are stored together, a few times a second.

Each stored change is broadcast to everybody in the room, with the whole message. When many people
react to one message, a change for each of them would be a flood. So reactions that arrive within an
interval are stored as one change: it takes one number, and the numbers of a room stay contiguous.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from math import inf
from typing import TypeAlias

from chat.errors import Busy, Refusal
from chat.models import MessageRow, RoomRow
from chat.moderation.rules import utc_now
from chat.storage.commands import (
    Change,
    Command,
    CommandResult,
    MessageCommand,
    Outcome,
    ReactToMessage,
    Unchanged,
)

MessageId: TypeAlias = tuple[int, int]
"""The id of a room, and the `seq` of a message in it."""


@dataclass
class ReactTogether(MessageCommand):
    """Several reactions to one message, in the order in which they arrived, as one change.

    Each has its own outcome: one that is refused or without effect does not concern the others.
    """

    reactions: list[ReactToMessage]

    @property
    def marks(self) -> set[str]:
        """The people who react."""
        return {self.room.mark(reaction.author) for reaction in self.reactions}

    def check(self, room: RoomRow, now: datetime) -> None:
        """Check nothing: `apply` checks each reaction."""

    def apply(self, room: RoomRow, target: MessageRow | None, number: int) -> Outcome:
        """Return the message with all reactions that are accepted, or Unchanged."""
        message = target
        now = utc_now()
        for reaction in self.reactions:
            reaction.failure = None
            try:
                reaction.check(room, now)
                outcome = reaction.apply(room, message, number)
            except Refusal as refusal:
                reaction.failure = refusal
                continue
            if isinstance(outcome, Change):
                message = outcome.message
        if message is None or message is target:
            return Unchanged(target)
        return Change(message)


@dataclass
class _Group:
    """Reactions that are stored together. When they are, it has a result or a refusal."""

    reactions: list[ReactToMessage] = field(default_factory=list)
    is_done: threading.Event = field(default_factory=threading.Event)
    result: CommandResult | None = None
    refusal: Refusal | None = None


class ReactionPacer:
    """Collects the reactions to each message, and submits them at most every `interval_seconds`.

    A reaction to a message without recent reactions is submitted at once. Otherwise the first
    thread (or greenlet) waits for the rest of the interval, and submits its reaction with those
    that have arrived meanwhile. Each worker has a pacer of its own.
    """

    def __init__(self, submit: Callable[[Command], CommandResult], interval_seconds: float) -> None:
        self._submit = submit
        self._interval_seconds = interval_seconds
        self._lock = threading.Lock()
        self._waiting: dict[MessageId, _Group] = {}
        self._submitted_at: OrderedDict[MessageId, float] = OrderedDict()  # the oldest first

    def submit(self, reaction: ReactToMessage) -> CommandResult:
        """Return when the reaction is committed. Raises what it refuses, NotFound, Busy."""
        message = (reaction.room.id, reaction.seq)
        with self._lock:
            group = self._waiting.get(message)
            is_first = group is None
            if group is None:
                group = self._waiting[message] = _Group()
            group.reactions.append(reaction)
        if is_first:
            self._lead(message, group)
        else:
            group.is_done.wait()
        return _result_of(reaction, group)

    def _lead(self, message: MessageId, group: _Group) -> None:
        """Store the group when the interval has passed. The others continue in any case."""
        try:
            self._wait(message)
            self._close(message, group)
            first = group.reactions[0]
            together = ReactTogether(first.room, first.author, first.seq, group.reactions)
            group.result = self._submit(together)
        except Refusal as refusal:
            group.refusal = refusal
        finally:
            self._close(message, group)  # also when this thread or greenlet is being stopped
            group.is_done.set()

    def _wait(self, message: MessageId) -> None:
        """Wait until the last change of the message is long enough ago; forget older changes."""
        now = time.monotonic()
        with self._lock:
            while self._submitted_at:
                oldest, submitted_at = next(iter(self._submitted_at.items()))
                if now - submitted_at < self._interval_seconds:
                    break
                del self._submitted_at[oldest]
            waits_until = self._submitted_at.get(message, -inf) + self._interval_seconds
        if waits_until > now:
            time.sleep(waits_until - now)

    def _close(self, message: MessageId, group: _Group) -> None:
        """Let the next reaction to the message begin a new group. A second call does nothing."""
        with self._lock:
            if self._waiting.get(message) is group:
                del self._waiting[message]
                self._submitted_at[message] = time.monotonic()
                self._submitted_at.move_to_end(message)


def _result_of(reaction: ReactToMessage, group: _Group) -> CommandResult:
    """Return the result of one reaction of a group that is done. Raises Refusal."""
    if reaction.failure is not None:
        raise reaction.failure
    if group.refusal is not None:
        # An exception for each: several threads that raise the same one mix up its traceback.
        raise type(group.refusal)(str(group.refusal))
    if group.result is None:
        raise Busy  # the first thread failed: the reaction may be sent again
    return group.result

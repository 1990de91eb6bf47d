"""Performs the actions of hosts and moderators, for the event `moderate` and for forms.

An action becomes a command, which the journal checks and stores (storage/moderation_commands.py).
"""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeAlias

from chat.current_config import current_config
from chat.engine.concurrency import yield_now
from chat.errors import BadRequest, Busy, Forbidden, NotFound
from chat.models import Room
from chat.moderation.expiry import USUAL_EXPIRIES, effective_expiry, expiry_choices
from chat.moderation.room_password import hash_password, remember_password
from chat.moderation.rules import Person, SanctionKind, Standing, check_may_act_on, utc_now
from chat.services import services
from chat.storage.commands import Command, CommandResult, DeleteMessage
from chat.storage.host_links import Creator, check_host_link, create_host_link
from chat.storage.moderation_commands import (
    CLAIM_SECONDS,
    REMOVAL_SECONDS,
    AnnounceDeletions,
    Appoint,
    BecomeHost,
    ChangeRules,
    ClearHistory,
    CloseRoom,
    Dismiss,
    HandOver,
    Impose,
    Lift,
    Target,
    UseHostLink,
    duration_name,
)
from chat.storage.personal_data import seqs_of
from chat.storage.standings import read_standing
from chat.wire import JSON, Moderate, changed

DELETIONS_AT_ONCE = 200
"""Messages that are deleted in one transaction; others can be stored in between."""

OTHERS_UNKNOWN = (
    "The server does not know now whether you are alone in the room. Try again soon, "
    "or create a room with New room: you are its host."
)


@dataclass(frozen=True)
class Actor:
    """Who performs an action: a person with the handle they use in the room, or the operator."""

    author: str
    handle: str
    is_operator: bool = False


CommandBuilder: TypeAlias = Callable[[Room, Actor, Moderate], Command]


def perform(room: Room, actor: Actor, asked: Moderate) -> JSON:
    """Perform an action; return the keys of its answer. Raises Refusal."""
    if asked.action == "host_link":
        return _create_host_link(room, actor)
    if asked.action == "delete_all":
        return _delete_all(room, actor, asked)
    command = COMMANDS[asked.action](room, actor, asked)
    result = services().journal.submit(command)
    _remember_own_password(room, asked)
    return changed(result)


def name_of(room: Room, mark: str) -> str:
    """Return the handle that a person in the room uses; "" when it is not known."""
    present = services().presence.people_in(room.label).handles.get(mark, "")
    return present or room.recent_handles_by_mark().get(mark, "")


def _remember_own_password(room: Room, asked: Moderate) -> None:
    """Remember the password for the person who has set it."""
    if asked.action == "password" and asked.password:
        remember_password(Room.find(room.label))


def _target(room: Room, asked: Moderate) -> Target:
    mark = asked.target or ""
    return Target(mark, name_of(room, mark))


def _create_host_link(room: Room, actor: Actor) -> JSON:
    """Create a host link for a host. Raises Forbidden."""
    mark = room.mark(actor.author)
    creator = Creator(mark, actor.handle, actor.is_operator)
    return {"secret": create_host_link(room, creator)}


def _delete_all(room: Room, actor: Actor, asked: Moderate) -> JSON:
    """Delete the messages of a person, each by its own deletion, and announce how many."""
    target = _target(room, asked)
    check_may_act_on_target(room, actor, target.mark)
    since = None if asked.seconds is None else utc_now() - timedelta(seconds=asked.seconds)
    count = 0
    journal = services().journal
    seqs = seqs_of(room, target.mark, since, yield_now)
    for start in range(0, len(seqs), DELETIONS_AT_ONCE):
        deletions = [
            DeleteMessage(room, actor.author, seq, is_operator=actor.is_operator)
            for seq in seqs[start : start + DELETIONS_AT_ONCE]
        ]
        journal.submit_many(deletions)
        count += _count_done(deletions)
    announcement = AnnounceDeletions(
        room, actor.author, actor.handle, actor.is_operator, target, count
    )
    return changed(journal.submit(announcement)) | {"count": count}


def check_may_act_on_target(room: Room, actor: Actor, target_mark: str) -> None:
    """Check early what the journal checks for each command about a person. Raises Refusal."""
    if actor.is_operator:
        return
    current = Room.find(room.label).rules
    mark = room.mark(actor.author)
    person = Person(mark, current.role(mark), read_standing(room.id, mark))
    other = Person(target_mark, current.role(target_mark), Standing())
    check_may_act_on(current, person, other, utc_now())


def _count_done(deletions: Sequence[Command]) -> int:
    """Return how many messages were deleted. Raises the first refusal.

    Messages that have expired or were cleared meanwhile do not count, and are no refusal.
    """
    for deletion in deletions:
        if deletion.failure is not None and not isinstance(deletion.failure, NotFound):
            raise deletion.failure
    results: list[CommandResult] = [each.result for each in deletions if each.result is not None]
    return sum(not result.duplicate for result in results)


def _impose(kind: SanctionKind) -> CommandBuilder:
    def build(room: Room, actor: Actor, asked: Moderate) -> Command:
        seconds = REMOVAL_SECONDS if kind is SanctionKind.REMOVAL else asked.seconds
        return Impose(
            room,
            actor.author,
            actor.handle,
            actor.is_operator,
            _target(room, asked),
            kind,
            seconds,
            asked.address,
        )

    return build


def _lift(kind: SanctionKind) -> CommandBuilder:
    def build(room: Room, actor: Actor, asked: Moderate) -> Command:
        target = _target(room, asked)
        return Lift(room, actor.author, actor.handle, actor.is_operator, target, kind)

    return build


def _change_rules(sentence: str, **changes: bool) -> CommandBuilder:
    def build(room: Room, actor: Actor, asked: Moderate) -> Command:
        return _rules_command(room, actor, asked, sentence, **changes)

    return build


def _slow_mode(room: Room, actor: Actor, asked: Moderate) -> Command:
    seconds = asked.seconds or 0
    sentence = (
        f"turned on slow mode: one message every {duration_name(seconds)}"
        if seconds
        else "turned off slow mode"
    )
    return _rules_command(room, actor, asked, sentence, slow_mode_seconds=seconds)


def _naming(room: Room, actor: Actor, asked: Moderate) -> Command:
    only_hosts = asked.by == "hosts"
    who = "only hosts" if only_hosts else "everybody"
    return _rules_command(
        room, actor, asked, f"let {who} name the room", only_hosts_name=only_hosts
    )


def _expiry(room: Room, actor: Actor, asked: Moderate) -> Command:
    chosen = asked.seconds or 0
    if chosen not in USUAL_EXPIRIES and chosen not in expiry_choices():
        raise BadRequest("Messages cannot be kept for this duration.")
    config = current_config()
    seconds = effective_expiry(chosen, config.default_expiry, config.max_expiry)
    sentence = (
        f"set messages to disappear after {duration_name(seconds)}"
        if seconds
        else "set messages to be kept"
    )
    return _rules_command(room, actor, asked, sentence, expiry_seconds=chosen)


def _password(room: Room, actor: Actor, asked: Moderate) -> Command:
    """Build the command; the hash is computed only for a host, because that takes long."""
    if not actor.is_operator:
        person = Room.find(room.label).rules.role(room.mark(actor.author))
        if person != "host":
            raise Forbidden("Only a host of this room can do this.")
    password = asked.password or ""
    password_hash = hash_password(password) if password else ""
    sentence = "set a password" if password else "removed the password"
    return _rules_command(room, actor, asked, sentence, password_hash=password_hash)


def _rules_command(
    room: Room, actor: Actor, asked: Moderate, sentence: str, **changes: bool | int | str
) -> Command:
    return ChangeRules(
        room, actor.author, actor.handle, actor.is_operator, dict(changes), asked.action, sentence
    )


def _clear(room: Room, actor: Actor, _asked: Moderate) -> Command:
    epoch = secrets.token_hex(8)
    return ClearHistory(room, actor.author, actor.handle, actor.is_operator, epoch)


def _close(room: Room, actor: Actor, _asked: Moderate) -> Command:
    return CloseRoom(room, actor.author, actor.handle, actor.is_operator)


def _appoint(room: Room, actor: Actor, asked: Moderate) -> Command:
    return Appoint(room, actor.author, actor.handle, actor.is_operator, _target(room, asked))


def _dismiss(room: Room, actor: Actor, asked: Moderate) -> Command:
    return Dismiss(room, actor.author, actor.handle, actor.is_operator, _target(room, asked))


def _hand_over(room: Room, actor: Actor, asked: Moderate) -> Command:
    """Build the command, if the other person is known: else the room would lose its host.

    Raises NotFound.
    """
    mark = asked.target or ""
    is_present = mark in services().presence.people_in(room.label).handles
    if not is_present and mark not in room.recent_handles_by_mark():
        raise NotFound("This person is not in the room, and has not written here recently.")
    return HandOver(room, actor.author, actor.handle, actor.is_operator, _target(room, asked))


def _become_host(room: Room, actor: Actor, _asked: Moderate) -> Command:
    """Build the command, if the room is young and nobody else is there. Raises Forbidden, Busy."""
    age_seconds = (utc_now() - room.created_at).total_seconds()
    if age_seconds > CLAIM_SECONDS:
        raise Forbidden("A room can get a host only in its first ten minutes.")
    own_mark = room.mark(actor.author)
    people = services().presence.all_people_in(room.label)
    if people is None:
        raise Busy(OTHERS_UNKNOWN)
    present = people.handles.keys() | {own_mark}
    wrote = room.recent_handles_by_mark().keys() | {own_mark}
    if len(present) > 1 or people.count > 1 or len(wrote) > 1:
        raise Forbidden("You can become the host only while you are alone in the room.")
    return BecomeHost(room, actor.author, actor.handle, actor.is_operator)


def _use_host_link(room: Room, actor: Actor, asked: Moderate) -> Command:
    secret_hash = check_host_link(room, asked.secret or "")
    return UseHostLink(room, actor.author, actor.handle, actor.is_operator, secret_hash)


COMMANDS: dict[str, CommandBuilder] = {
    "mute": _impose(SanctionKind.MUTE),
    "unmute": _lift(SanctionKind.MUTE),
    "remove": _impose(SanctionKind.REMOVAL),
    "readmit": _lift(SanctionKind.REMOVAL),
    "ban": _impose(SanctionKind.BAN),
    "unban": _lift(SanctionKind.BAN),
    "lock": _change_rules("locked the room: only hosts can post", is_locked=True),
    "unlock": _change_rules("unlocked the room", is_locked=False),
    "slow_mode": _slow_mode,
    "naming": _naming,
    "password": _password,
    "expiry": _expiry,
    "clear": _clear,
    "close": _close,
    "appoint": _appoint,
    "dismiss": _dismiss,
    "hand_over": _hand_over,
    "become_host": _become_host,
    "use_host_link": _use_host_link,
}

"""The commands of hosts and moderators. Each makes a system message that announces it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar

from chat.errors import Forbidden
from chat.models import MessageRow, RoomRow
from chat.moderation import rules
from chat.moderation.expiry import expiry_seconds
from chat.moderation.names import OPERATOR_NAME, SOMEBODY
from chat.moderation.rules import Role, RoomRules, SanctionKind, public_rules, utc_now
from chat.storage.commands import Change, Command, Outcome, Unchanged, system_message
from chat.storage.effects import (
    BanAddresses,
    ConsumeHostLink,
    DeleteHostLinks,
    Effect,
    ImposeSanction,
    LiftSanction,
    LogAction,
    ReleaseName,
)

KIND = "moderation"
"""The `kind` of the system messages that announce what hosts and moderators do."""

REMOVAL_SECONDS = 600
CLAIM_SECONDS = 600
"""How long after its creation a room without host can get one by *Become host*."""

MAX_ROLES = 100
"""Hosts and moderators of one room."""

DURATION_NAMES = {
    5: "5 seconds",
    10: "10 seconds",
    30: "30 seconds",
    60: "1 minute",
    300: "5 minutes",
    600: "10 minutes",
    3_600: "1 hour",
    86_400: "24 hours",
    604_800: "7 days",
    2_592_000: "30 days",
    31_536_000: "1 year",
}

UNITS = ((86_400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))


@dataclass(frozen=True)
class SanctionWords:
    """The action that imposes a sanction, the one that lifts it, and their past tenses."""

    action: str
    imposed: str
    lifting_action: str
    lifted: str


SANCTION_WORDS = {
    SanctionKind.MUTE: SanctionWords("mute", "muted", "unmute", "unmuted"),
    SanctionKind.REMOVAL: SanctionWords("remove", "removed", "readmit", "readmitted"),
    SanctionKind.BAN: SanctionWords("ban", "banned", "unban", "unbanned"),
}


@dataclass(frozen=True)
class Target:
    """The person on whom a command acts: their mark, and the handle they use."""

    mark: str
    handle: str

    @property
    def name(self) -> str:
        """How a sentence calls them."""
        return self.handle or SOMEBODY.lower()


def duration_name(seconds: int) -> str:
    """Return a duration in words, as static/js/lib/durations.js does."""
    if seconds in DURATION_NAMES:
        return DURATION_NAMES[seconds]
    size, unit = next(each for each in UNITS if seconds % each[0] == 0)
    number = seconds // size
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"


@dataclass
class ModerationCommand(Command):
    """A command by a host, a moderator or the operator, whose name is `handle`."""

    handle: str
    is_operator: bool = False

    action: ClassVar[str]

    @property
    def acts_on_people(self) -> bool:
        """Sanctions are read, since the command may be about them."""
        return True

    def check(self, room: RoomRow, now: datetime) -> None:
        """Check that the author may do this. Raises Forbidden, Closed."""
        rules.check_open(room.rules)
        if not self.is_operator:
            self.check_role(room)

    def check_role(self, room: RoomRow) -> None:
        """Check that the author is a host. Raises Forbidden."""
        rules.check_may_host(room.person(self.mark))

    @property
    def actor_name(self) -> str:
        """How the system message calls the author."""
        return OPERATOR_NAME if self.is_operator else self.handle or SOMEBODY

    def announce(
        self,
        room: RoomRow,
        number: int,
        sentence: str,
        effects: list[Effect],
        **details: Any,  # keys of `details` in docs/protocol.md
    ) -> Change:
        """Return the change with its system message, `sentence` without its subject."""
        text = f"{self.actor_name} {sentence}"
        mark = self.mark
        stored_details = {
            "action": details.pop("action", None) or self.action,
            **{key: value for key, value in details.items() if value is not None},
            "rules": public_rules(room.rules, expiry_seconds(room.rules)),
        }
        message = system_message(
            room,
            number,
            self.author,
            kind=KIND,
            handle=self.actor_name,
            message=text,
            details=stored_details,
        )
        log = LogAction(
            room.id,
            mark,
            self.actor_name,
            stored_details["action"],
            details.get("target", ""),
            text,
        )
        return Change(message, [*effects, log])


@dataclass
class PersonCommand(ModerationCommand):
    """A command that acts on a person; moderators may give it too."""

    target_person: Target = Target("", "")

    @property
    def marks(self) -> set[str]:
        """The author and the person on whom they act."""
        return {self.mark, self.target_person.mark}

    def check_role(self, room: RoomRow) -> None:
        """Check that the author may act on this person. Raises what check_may_act_on refuses."""
        person = room.person(self.mark)
        target = room.person(self.target_person.mark)
        rules.check_may_act_on(room.rules, person, target, utc_now())


@dataclass
class Impose(PersonCommand):
    """Impose a sanction, for `seconds` or (None) without an end.

    `with_address`: the addresses of the person are banned too. The one from which they wrote last
    is banned here, and the others by the workers that disconnect or refuse the person.
    """

    kind: SanctionKind = SanctionKind.MUTE
    seconds: int | None = None
    with_address: bool = False

    def apply(self, room: RoomRow, target: MessageRow | None, number: int) -> Outcome:
        """Return the system message and the sanction. Raises Forbidden.

        A ban takes the role; moderators keep it while they are muted or removed. Other sanctions do
        not apply to hosts, so they are refused.
        """
        mark = self.target_person.mark
        words = SANCTION_WORDS[self.kind]
        if self.kind is not SanctionKind.BAN and room.person(mark).is_host:
            raise Forbidden(f"Hosts can't be {words.imposed}. Remove the host role first.")
        until = None if self.seconds is None else utc_now() + timedelta(seconds=self.seconds)
        effects: list[Effect] = [
            ImposeSanction(
                room.id, mark, self.kind, self.target_person.handle, until, self.with_address
            )
        ]
        room.person(mark).standing.sanctions[self.kind] = until
        if self.with_address:
            effects.append(BanAddresses(room.id, mark, frozenset()))
        if self.kind is SanctionKind.BAN:
            effects += _take_role(room, mark)
        if self.kind is not SanctionKind.MUTE and room.rules.role(mark) is None:
            effects.append(ReleaseName(room.id, mark))
            room.names_version += 1
        room.change_rules(room.rules._replace(has_sanctions=True))
        sentence = f"{words.imposed} {self.target_person.name}{self._duration()}"
        return self.announce(
            room,
            number,
            sentence,
            effects,
            action=words.action,
            target=mark,
            until=None if until is None else _iso(until),
            address=True if self.with_address else None,
        )

    def _duration(self) -> str:
        return "" if self.seconds is None else f" for {duration_name(self.seconds)}"


@dataclass
class Lift(PersonCommand):
    """End a sanction before its time."""

    kind: SanctionKind = SanctionKind.MUTE

    def apply(self, room: RoomRow, target: MessageRow | None, number: int) -> Outcome:
        """Return the system message; Unchanged when the person is under no such sanction."""
        mark = self.target_person.mark
        standing = room.person(mark).standing
        if not standing.is_under(self.kind, utc_now()):
            return Unchanged()
        del standing.sanctions[self.kind]
        words = SANCTION_WORDS[self.kind]
        return self.announce(
            room,
            number,
            f"{words.lifted} {self.target_person.name}",
            [LiftSanction(room.id, mark, self.kind)],
            action=words.lifting_action,
            target=mark,
        )


@dataclass
class AnnounceDeletions(PersonCommand):
    """Announce that messages of a person were deleted; each was erased by its own deletion."""

    count: int = 0

    action = "delete_all"

    def apply(self, room: RoomRow, target: MessageRow | None, number: int) -> Outcome:
        """Return the system message; Unchanged when there was nothing to delete."""
        if self.count == 0:
            return Unchanged()
        noun = "message" if self.count == 1 else "messages"
        sentence = f"deleted {self.count:,} {noun} of {self.target_person.name}"
        return self.announce(room, number, sentence, [], target=self.target_person.mark)


@dataclass
class AnnounceErasure(ModerationCommand):
    """Announce that the operator has erased what a person wrote. It names nobody."""

    action = "erase"

    def check_role(self, room: RoomRow) -> None:
        """Raise Forbidden: people erase only what they have written, which is not announced."""
        raise Forbidden

    def apply(self, room: RoomRow, target: MessageRow | None, number: int) -> Outcome:
        """Return the system message."""
        return self.announce(room, number, "erased everything that one person wrote here", [])


@dataclass
class ChangeRules(ModerationCommand):
    """Change the rules of the room. `rule_action` names the action and `sentence` describes it."""

    changes: dict[str, Any] | None = None  # fields of RoomRules
    rule_action: str = ""
    sentence: str = ""

    def apply(self, room: RoomRow, target: MessageRow | None, number: int) -> Outcome:
        """Return the system message; Unchanged when the rules are like that already."""
        changed = room.rules._replace(**(self.changes or {}))
        if changed == room.rules:
            return Unchanged()
        room.change_rules(changed)
        return self.announce(room, number, self.sentence, [], action=self.rule_action)


@dataclass
class ClearHistory(ModerationCommand):
    """Make all messages nonexistent; the history begins again, with the epoch `epoch`."""

    epoch: str = ""

    action = "clear"

    def apply(self, room: RoomRow, target: MessageRow | None, number: int) -> Outcome:
        """Return the system message, the first of the new epoch."""
        room.clear_history(self.epoch)
        return self.announce(room, number, "cleared the history", [])


@dataclass
class CloseRoom(ModerationCommand):
    """Close the room: nobody can enter it again."""

    action = "close"

    def apply(self, room: RoomRow, target: MessageRow | None, number: int) -> Outcome:
        """Return the system message, the last one of the room."""
        room.change_rules(room.rules._replace(closed_at=utc_now()))
        return self.announce(room, number, "closed the room", [])


@dataclass
class Appoint(PersonCommand):
    """Make a person a moderator."""

    action = "appoint"

    def check_role(self, room: RoomRow) -> None:
        """Check that the author is a host and the other person is not. Raises Forbidden."""
        _check_host_acts_on(room, self)

    def apply(self, room: RoomRow, target: MessageRow | None, number: int) -> Outcome:
        """Return the system message."""
        mark = self.target_person.mark
        if room.rules.role(mark) is not None:
            return Unchanged()
        room.change_rules(_with_role(room.rules, mark, Role.MODERATOR))
        sentence = f"made {self.target_person.name} a moderator"
        return self.announce(room, number, sentence, [], target=mark)


@dataclass
class Dismiss(PersonCommand):
    """Take the role of a moderator or of another host away."""

    action = "dismiss"

    def check_role(self, room: RoomRow) -> None:
        """Check that the author is a host and means somebody else. Raises Forbidden."""
        _check_host_acts_on(room, self)

    def apply(self, room: RoomRow, target: MessageRow | None, number: int) -> Outcome:
        """Return the system message; Unchanged for a person without a role."""
        mark = self.target_person.mark
        role = room.rules.role(mark)
        if role is None:
            return Unchanged()
        effects = _take_role(room, mark)
        sentence = f"removed the {role} role of {self.target_person.name}"
        return self.announce(room, number, sentence, effects, target=mark)


@dataclass
class HandOver(PersonCommand):
    """Make another person a host instead of oneself."""

    action = "hand_over"

    def check_role(self, room: RoomRow) -> None:
        """Check that the author is a host and means somebody else. Raises Forbidden."""
        _check_host_acts_on(room, self)

    def apply(self, room: RoomRow, target: MessageRow | None, number: int) -> Outcome:
        """Return the system message."""
        mark = self.target_person.mark
        effects = _take_role(room, self.mark)
        room.change_rules(_with_role(room.rules, mark, Role.HOST))
        sentence = f"made {self.target_person.name} the host"
        effects.append(LiftSanction(room.id, mark, None))
        return self.announce(room, number, sentence, effects, target=mark)


@dataclass
class BecomeHost(ModerationCommand):
    """Become the first host of a young room. The handler checks that nobody else is there."""

    action = "become_host"

    def check_role(self, room: RoomRow) -> None:
        """Check that the room has no host, and that the author may write. Raises Refusal."""
        if room.rules.hosts:
            raise Forbidden("This room has a host.")
        rules.check_may_write(room.rules, room.person(self.mark), utc_now())

    def apply(self, room: RoomRow, target: MessageRow | None, number: int) -> Outcome:
        """Return the system message."""
        mark = self.mark
        room.change_rules(_with_role(room.rules, mark, Role.HOST))
        return self.announce(room, number, "is the host now", [], target=mark)


@dataclass
class UseHostLink(ModerationCommand):
    """Become a host with a host link. All sanctions of the person end."""

    secret_hash: str = ""

    action = "use_host_link"

    def check_role(self, room: RoomRow) -> None:
        """Check nothing: the link is the permission; storing the command uses it up."""

    def apply(self, room: RoomRow, target: MessageRow | None, number: int) -> Outcome:
        """Return the system message; Unchanged for somebody who is a host: the link stays valid."""
        mark = self.mark
        if room.rules.role(mark) is Role.HOST:
            return Unchanged()
        room.change_rules(_with_role(room.rules, mark, Role.HOST))
        room.person(mark).standing.sanctions.clear()
        effects = [ConsumeHostLink(room.id, self.secret_hash), LiftSanction(room.id, mark, None)]
        return self.announce(room, number, "is a host now", effects, target=mark)


def _check_host_acts_on(room: RoomRow, command: PersonCommand) -> None:
    person = room.person(command.mark)
    rules.check_may_host(person)
    target = room.person(command.target_person.mark)
    rules.check_may_act_on(room.rules, person, target, utc_now())


def _with_role(current: RoomRules, mark: str, role: Role) -> RoomRules:
    """Return rules in which a person has a role. Raises Forbidden above MAX_ROLES."""
    roles = dict(current.roles or {})
    roles[mark] = role.value
    if len(roles) > MAX_ROLES:
        raise Forbidden("This room has too many hosts and moderators.")
    return current._replace(roles=roles)


def _take_role(room: RoomRow, mark: str) -> list[Effect]:
    """Take the role of a person away; return the deletion of the host links that they created."""
    was_host = room.rules.role(mark) is Role.HOST
    roles = {each: role for each, role in (room.rules.roles or {}).items() if each != mark}
    room.change_rules(room.rules._replace(roles=roles or None))
    return [DeleteHostLinks(room.id, mark)] if was_host else []


def _iso(when: datetime) -> str:
    """Return a time as it is on the wire: ISO 8601 in UTC, with milliseconds and `Z`."""
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")

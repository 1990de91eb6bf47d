"""The people of a room, as hosts and moderators see them: names, roles and sanctions."""

from dataclasses import dataclass, field

from chat.models import Room
from chat.moderation.rules import Role, utc_now
from chat.services import services
from chat.storage.audit import SanctionRow, read_known_handles, read_sanctions

ROLE_ORDER = {Role.HOST: 0, Role.MODERATOR: 1, None: 2}


@dataclass
class ListedPerson:
    """A person who is present, wrote recently, has a role or is under a sanction."""

    mark: str
    handle: str = ""
    role: Role | None = None
    is_present: bool = False
    sanctions: list[SanctionRow] = field(default_factory=list)

    @property
    def name(self) -> str:
        """What the pages call this person."""
        return self.handle or "Somebody without a name"


def list_people(room: Room) -> list[ListedPerson]:
    """Return the people of a room: by role, those who are present first, by name. Raises Busy."""
    present = services().presence.people_in(room.label).handles
    recent = room.recent_handles_by_mark()
    roles = room.rules.roles or {}
    imposed = read_sanctions(room, utc_now()) if room.rules.has_sanctions else []
    marks = {*present, *recent, *roles, *(each.mark for each in imposed)}
    nameless = [mark for mark in marks if not present.get(mark) and not recent.get(mark)]
    known = read_known_handles(room, nameless) if nameless else {}
    people = {
        mark: ListedPerson(
            mark,
            present.get(mark) or recent.get(mark) or known.get(mark, ""),
            room.rules.role(mark),
            mark in present,
        )
        for mark in marks
    }
    for sanction in imposed:
        person = people[sanction.mark]
        person.sanctions.append(sanction)
        person.handle = person.handle or sanction.handle
    return sorted(people.values(), key=_order)


def _order(person: ListedPerson) -> tuple[int, bool, bool, str, str]:
    return (
        ROLE_ORDER[person.role],
        not person.is_present,
        not person.handle,
        person.handle.casefold(),
        person.mark,
    )

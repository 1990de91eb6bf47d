"""`flask confab ban`, `unban` and `bans`: sanctions by the operator."""

from typing import Any

import click
from flask.cli import with_appcontext

from chat.cli.arguments import MARK, find_room
from chat.cli.operator_actions import OPERATOR, person_with_mark
from chat.cli.output import iso, json_option, print_json, print_result, print_table
from chat.errors import NotFound
from chat.moderation.rules import SanctionKind, utc_now
from chat.services import services
from chat.storage.moderation_commands import Impose, Lift
from chat.storage.surveys import StoredSanction, survey_sanctions

HOUR_SECONDS = 3600
MAX_HOURS = 100 * 365 * 24


@click.command()
@click.argument("label")
@click.argument("mark", type=MARK)
@click.option(
    "--hours", type=click.IntRange(1, MAX_HOURS), help="For how long; without it, for ever."
)
@click.option(
    "--address",
    is_flag=True,
    help="Ban the addresses of the person too. Others may share them: in a school, for example.",
)
@json_option
@with_appcontext
def ban(*, label: str, mark: str, hours: int | None, address: bool, as_json: bool) -> None:
    """Ban a person from a room."""
    room = find_room(label)
    person = person_with_mark(room, mark)
    seconds = None if hours is None else hours * HOUR_SECONDS
    command = Impose(
        room,
        OPERATOR.author,
        OPERATOR.handle,
        OPERATOR.is_operator,
        person,
        SanctionKind.BAN,
        seconds,
        address,
    )
    services().journal.submit(command)
    banned = [each for each in _bans(label) if each.mark == mark]
    sentence = f"Banned {person.name} ({mark}) from {label}."
    print_result(sentence, sanction_json(banned[0]) if banned else None, as_json=as_json)


@click.command()
@click.argument("label")
@click.argument("mark", type=MARK)
@json_option
@with_appcontext
def unban(*, label: str, mark: str, as_json: bool) -> None:
    """End the ban of a person, and of their addresses."""
    room = find_room(label)
    person = person_with_mark(room, mark)
    command = Lift(
        room, OPERATOR.author, OPERATOR.handle, OPERATOR.is_operator, person, SanctionKind.BAN
    )
    if services().journal.submit(command).duplicate:
        raise NotFound(f"Nobody with the mark {mark} is banned from {label}.")
    sentence = f"Ended the ban of {person.name} ({mark}) in {label}."
    result = {"label": label, "mark": mark, "handle": person.handle}
    print_result(sentence, result, as_json=as_json)


@click.command()
@click.argument("label", required=False)
@click.option("--all", "include_all", is_flag=True, help="List muted and removed people too.")
@json_option
@with_appcontext
def bans(*, label: str | None, include_all: bool, as_json: bool) -> None:
    """List the people who are banned from a room, or from any room."""
    if label is not None:
        find_room(label)
    found = survey_sanctions(utc_now(), label=label) if include_all else _bans(label)
    if as_json:
        print_json([sanction_json(each) for each in found])
        return
    headings = ("room", "mark", "name", "kind", "until", "since", "addresses")
    print_table(headings, [_row(each) for each in found])


def sanction_json(sanction: StoredSanction) -> dict[str, Any]:
    """Return what is printed of a sanction as JSON; docs/operations.md has the keys."""
    return {
        "label": sanction.label,
        "mark": sanction.mark,
        "handle": sanction.handle,
        "kind": sanction.kind,
        "until": iso(sanction.until),
        "created_at": iso(sanction.created_at),
        "addresses": sanction.addresses,
    }


def _bans(label: str | None) -> list[StoredSanction]:
    imposed = survey_sanctions(utc_now(), label=label)
    return [each for each in imposed if each.kind == SanctionKind.BAN]


def _row(sanction: StoredSanction) -> tuple[object, ...]:
    return (
        sanction.label,
        sanction.mark,
        sanction.handle or None,
        sanction.kind,
        sanction.until,
        sanction.created_at,
        sanction.addresses,
    )

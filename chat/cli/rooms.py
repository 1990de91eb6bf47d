"""`flask confab rooms` and `flask confab room`: list, show, close, clear and delete rooms."""

import time
from typing import Any

import click
from flask.cli import AppGroup, with_appcontext

from chat.cli.arguments import find_room
from chat.cli.operator_actions import act
from chat.cli.output import (
    confirm,
    iso,
    json_option,
    print_json,
    print_properties,
    print_result,
    print_table,
    yes_option,
)
from chat.cli.sanctions import sanction_json
from chat.errors import Closed
from chat.models import Room
from chat.moderation.expiry import expiry_seconds
from chat.moderation.rules import RoomRules, public_rules, utc_now
from chat.services import services
from chat.storage.room_deletion import delete_room
from chat.storage.surveys import RoomSummary, count_open_reports, survey_rooms, survey_sanctions

DEFAULT_LISTED_ROOMS = 100

DELIVERY_SECONDS = 8.0
"""How long it takes until all workers have announced a change that they find in the database.

Usually 3.5 seconds, but a worker may have to wait for a CPU or for the database.
"""


@click.command()
@click.option("--search", default="", metavar="TEXT", help="A part of the label or the name.")
@click.option("--closed", is_flag=True, help="Only rooms that are closed.")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=DEFAULT_LISTED_ROOMS,
    show_default=True,
    help="How many rooms.",
)
@json_option
@with_appcontext
def rooms(*, search: str, closed: bool, limit: int, as_json: bool) -> None:
    """List the rooms, those with the latest messages first."""
    found = survey_rooms(search, only_closed=closed, limit=limit)
    if as_json:
        print_json([room_json(each) for each in found])
        return
    headings = ("label", "name", "messages", "people", "last message", "rules")
    print_table(headings, [_row(each) for each in found])


def room_json(found: RoomSummary) -> dict[str, Any]:
    """Return what is printed of a room as JSON; docs/operations.md has the keys."""
    return {
        "label": found.label,
        "name": found.name,
        "messages": found.messages,
        "people": found.people,
        "created_at": iso(found.created_at),
        "last_message_at": iso(found.last_message_at),
        "closed_at": iso(found.rules.closed_at),
        "rules": public_rules(found.rules, expiry_seconds(found.rules)),
    }


def _row(found: RoomSummary) -> tuple[object, ...]:
    return (
        found.label,
        found.name or None,
        found.messages,
        found.people,
        found.last_message_at,
        rules_in_words(found.rules) or None,
    )


def rules_in_words(rules: RoomRules) -> str:
    """Return the rules of a room in a few words; "" for a room without any."""
    words = {
        "closed": rules.closed_at is not None,
        "private": rules.is_private,
        "locked": rules.is_locked,
        "password": bool(rules.password_hash),
        "only hosts name it": rules.only_hosts_name,
        f"slow mode {rules.slow_mode_seconds} s": rules.slow_mode_seconds > 0,
        f"{len(rules.hosts)} hosts": len(rules.hosts) > 1,
        "1 host": len(rules.hosts) == 1,
        f"kept {expiry_seconds(rules)} s": expiry_seconds(rules) > 0,
    }
    return ", ".join(word for word, applies in words.items() if applies)


@click.group(cls=AppGroup)
def room() -> None:
    """Show, close, clear or delete a room."""


@room.command()
@click.argument("label")
@json_option
def show(*, label: str, as_json: bool) -> None:
    """Show what is known about a room."""
    found = find_room(label)
    shown = _details(found)
    if as_json:
        print_json(shown)
        return
    people = [f"{each['handle'] or each['mark']} ({each['role']})" for each in shown["roles"]]
    imposed = [f"{each['handle'] or each['mark']} ({each['kind']})" for each in shown["sanctions"]]
    print_properties(
        {
            "label": found.label,
            "name": found.name or None,
            "created": found.created_at,
            "messages": shown["messages"],
            "people": shown["people"],
            "last message": shown["last_message_at"],
            "last number": found.head,
            "rules": rules_in_words(found.rules) or None,
            "hosts and moderators": ", ".join(people) or None,
            "sanctions": ", ".join(imposed) or None,
            "open reports": shown["open_reports"],
        }
    )


def _details(found: Room) -> dict[str, Any]:
    """Return what is printed by `room show` as JSON."""
    summary = survey_rooms(label=found.label, limit=1)[0]
    handles = found.recent_handles_by_mark()
    roles = [
        {"mark": mark, "handle": handles.get(mark, ""), "role": role}
        for mark, role in (found.rules.roles or {}).items()
    ]
    return room_json(summary) | {
        "head": found.head,
        "floor": found.floor,
        "epoch": found.epoch,
        "roles": roles,
        "sanctions": [
            sanction_json(each) for each in survey_sanctions(utc_now(), label=found.label)
        ],
        "open_reports": count_open_reports(found.id),
    }


@room.command()
@click.argument("label")
@yes_option
@json_option
def close(*, label: str, yes: bool, as_json: bool) -> None:
    """Close a room: its people are disconnected, and its messages are deleted.

    For 30 days, its page says that it is closed. Then the label is free again.
    """
    found = find_room(label)
    _check_open(found)
    confirm(f"Close the room {label}, and delete its messages?", yes=yes)
    rev = act(found, "close")["rev"]
    print_result(f"Closed {label}.", {"label": label, "rev": rev}, as_json=as_json)


@room.command()
@click.argument("label")
@yes_option
@json_option
def clear(*, label: str, yes: bool, as_json: bool) -> None:
    """Delete all messages of a room; the room stays."""
    found = find_room(label)
    _check_open(found)
    confirm(f"Delete all messages of {label}?", yes=yes)
    rev = act(found, "clear")["rev"]
    print_result(f"Cleared {label}.", {"label": label, "rev": rev}, as_json=as_json)


@room.command()
@click.argument("label")
@yes_option
@json_option
def delete(*, label: str, yes: bool, as_json: bool) -> None:
    """Delete a room with everything that belongs to it; its label is free at once."""
    found = find_room(label)
    [summary] = survey_rooms(label=label, limit=1)
    confirm(f"Delete the room {label} with {summary.messages:,} messages?", yes=yes)
    _close_and_announce(found)
    delete_room(found)
    result = {"label": label, "messages": summary.messages}
    print_result(f"Deleted {label}.", result, as_json=as_json)


def _check_open(found: Room) -> None:
    if found.rules.closed_at is not None:
        raise Closed(f"The room {found.label} is closed.")


def _close_and_announce(found: Room) -> None:
    """Close a room; return when its people on all workers have received that. Raises Busy."""
    if found.rules.closed_at is not None:
        return
    act(found, "close")
    if not services().bus.is_up:
        time.sleep(DELIVERY_SECONDS)

"""`flask confab person`: find people, erase what they wrote, and export it."""

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import click
from flask.cli import AppGroup

from chat.cli.arguments import MARK, find_room
from chat.cli.operator_actions import OPERATOR
from chat.cli.output import confirm, iso, json_option, print_json, print_table, yes_option
from chat.errors import Closed, NotFound
from chat.models import Room
from chat.services import services
from chat.storage.erasure import erase_person, erase_unknown_author
from chat.storage.moderation_commands import AnnounceErasure
from chat.storage.people_search import PersonSummary, is_recorded, rooms_of_author, search_people
from chat.storage.personal_data import announcements_about, author_with_mark, count
from chat.web.your_data import export as export_json

everywhere_option = click.option(
    "--everywhere", is_flag=True, help="In all rooms in which this person has left anything."
)


@click.group(cls=AppGroup)
def person() -> None:
    """Find people, erase what they wrote, and export it."""


@person.command()
@click.argument("text")
@click.option("--room", "label", metavar="LABEL", help="Only in this room.")
@json_option
def find(*, text: str, label: str | None, as_json: bool) -> None:
    """Find people by a part of their name, or by the first digits of their mark.

    Names that look like TEXT are found too. A person has another mark in every room.
    """
    if label is not None:
        find_room(label)
    found = search_people(text, label=label)
    if as_json:
        print_json([_person_json(each) for each in found])
        return
    headings = ("room", "mark", "name", "messages", "last seen", "address known")
    print_table(headings, [_row(each) for each in found])


@person.command()
@click.argument("label")
@click.argument("mark", type=MARK)
@everywhere_option
@yes_option
@json_option
def erase(*, label: str, mark: str, everywhere: bool, yes: bool, as_json: bool) -> None:
    """Erase everything that a person wrote in a room, and what names them.

    The room is told that something was erased, but neither what nor whose. Sanctions stay in force.
    """
    room = find_room(label)
    author = _find_author(room, mark)
    rooms = _rooms(room, author, everywhere=everywhere)
    confirm(_question(rooms, author), yes=yes)
    erased = [_erase(each, author, mark) for each in rooms]
    if as_json:
        print_json(erased)
        return
    print_table(("room", "erased"), [(each["label"], each["erased"]) for each in erased])


@person.command()
@click.argument("label")
@click.argument("mark", type=MARK)
@everywhere_option
@click.option("--json", is_flag=True, expose_value=False, help="The export is JSON in any case.")
def export(*, label: str, mark: str, everywhere: bool) -> None:
    """Print everything that a person wrote in a room, as JSON."""
    room = find_room(label)
    author = _find_author(room, mark)
    rooms = _rooms(room, author, everywhere=everywhere)
    documents = [] if author is None else [_document(each, author) for each in rooms]
    print_json(documents)


def _find_author(room: Room, mark: str) -> str | None:
    """Return the author with a mark; None when nothing in the room is by the person.

    The room has records of them then, or announcements about them. Raises NotFound when it has
    nothing at all.
    """
    author = author_with_mark(room, mark, _do_nothing)
    if author is None and not is_recorded(room.id, mark) and not _is_announced(room, mark):
        raise NotFound(f"There is nothing by a person with the mark {mark} in {room.label}.")
    return author


def _is_announced(room: Room, mark: str) -> bool:
    """Return whether a system message is about a person."""
    return any(found.rows for found in announcements_about(room, mark))


def _rooms(room: Room, author: str | None, *, everywhere: bool) -> list[Room]:
    if not everywhere:
        return [room]
    if author is None:
        raise NotFound(
            "In which other rooms this person is cannot be known: they have left no message."
        )
    return rooms_of_author(author)


def _question(rooms: list[Room], author: str | None) -> str:
    counts = [] if author is None else [count(room, author, _do_nothing) for room in rooms]
    messages = sum(each.messages for each in counts)
    reactions = sum(each.reactions for each in counts)
    places = rooms[0].label if len(rooms) == 1 else f"{len(rooms)} rooms"
    return (
        f"Erase {messages:,} messages and {reactions:,} reactions of this person in {places}, "
        "and what names them?"
    )


def _erase(room: Room, author: str | None, mark: str) -> dict[str, Any]:
    """Erase what a person wrote in a room, and announce it; return what is printed as JSON.

    A room that was deleted meanwhile has nothing of them any more.
    """
    own_mark = mark if author is None else room.mark(author)
    erased = 0
    with suppress(NotFound):
        erased = _erase_from_room(room, author, own_mark)
    return {"label": room.label, "mark": own_mark, "erased": erased}


def _erase_from_room(room: Room, author: str | None, mark: str) -> int:
    """Erase, and announce it unless the room is closed; return how much. Raises NotFound, Busy."""
    journal = services().journal
    if author is None:
        erased = erase_unknown_author(journal, room, mark).erased
    else:
        erased = erase_person(journal, room, author).erased
    if erased > 0:
        announcement = AnnounceErasure(room, OPERATOR.author, OPERATOR.handle, is_operator=True)
        with suppress(Closed, NotFound):
            journal.submit(announcement)
    return erased


def _document(room: Room, author: str) -> Any:
    """Return the same as the download of the person themselves, as JSON."""
    parts: Iterator[str] = export_json(room, author)
    return json.loads("".join(parts))


def _person_json(found: PersonSummary) -> dict[str, Any]:
    return {
        "label": found.label,
        "mark": found.mark,
        "handle": found.handle,
        "handles": found.handles,
        "messages": found.messages,
        "last_seen_at": iso(found.last_seen_at),
        "has_address": found.has_address,
    }


def _row(found: PersonSummary) -> tuple[object, ...]:
    return (
        found.label,
        found.mark,
        ", ".join(found.handles) or None,
        found.messages,
        found.last_seen_at,
        "yes" if found.has_address else "no",
    )


def _do_nothing() -> None:
    pass

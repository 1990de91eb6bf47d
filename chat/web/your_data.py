"""The page on which a person downloads or deletes what they have written in a room, or leaves it.

It is there for banned people too, and for rooms that are locked, closed or have a password: it
shows nothing of others.
"""

import json
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime

from flask import (
    Blueprint,
    Response,
    redirect,
    render_template,
    request,
    session,
    stream_with_context,
    url_for,
)
from werkzeug.wrappers import Response as AnyResponse

from chat import engine, wire
from chat.errors import BadRequest, Busy, NotFound
from chat.identity import author, csrf_token, forget_room
from chat.models import MessageRow, Room
from chat.moderation.room_password import forget_password
from chat.services import services
from chat.storage.erasure import Progress, erase_person
from chat.storage.personal_data import Count, count, given_reactions, traces
from chat.web.forms import check_csrf_token, form_number, wants_json
from chat.web.room_lookup import find_existing_room, page_requester

ERASURE_SECONDS = 3
"""How long a request erases. What remains is left to the next one."""

NOT_CONFIRMED = "Nothing was deleted: please confirm that you want to delete everything."

blueprint = Blueprint("your_data", __name__)


@blueprint.get("/<label:label>/your-data")
def show(label: str) -> AnyResponse:
    """Show how much this person has written in a room, and what they can do with it."""
    room = find_existing_room(label)
    return _render(room, _count(room))


@blueprint.post("/<label:label>/your-data/leave")
def leave(label: str) -> AnyResponse:
    """Remove a room and the name from the cookie of this browser, and go to the home page."""
    check_csrf_token()
    with suppress(NotFound, Busy):  # then there is no such password, or it cannot be known
        forget_password(Room.find(label))
    forget_room(label)
    session.pop("handle", None)
    return redirect(url_for("pages.about"), 303)


@blueprint.post("/<label:label>/your-data/delete")
def delete(label: str) -> AnyResponse:
    """Delete what this person has written in a room, for some seconds.

    The answer says how much is deleted, and from where to continue. Raises BadRequest, NotFound,
    RateLimited, Busy.
    """
    check_csrf_token()
    room = find_existing_room(label)
    if request.form.get("confirm") != "yes":
        raise BadRequest(NOT_CONFIRMED)
    services().limits.take_form("data", page_requester())
    progress = erase_person(
        services().journal,
        room,
        author(),
        after=form_number("after", default="0"),
        seconds=ERASURE_SECONDS,
        pause=engine.yield_now,
    )
    if wants_json():
        return _json(_progress_json(progress))
    total = form_number("erased", default="0") + progress.erased
    if progress.is_complete:
        return _render(room, Count(), erased=total)
    return _render(room, Count(), erased=total, after=progress.after)


@blueprint.get("/<label:label>/your-data/messages.json")
def download(label: str) -> AnyResponse:
    """Send what this person has written in a room as a JSON file."""
    room = find_existing_room(label)
    services().limits.take_form("data", page_requester())
    headers = {
        "Cache-Control": "no-store",
        "Content-Disposition": f'attachment; filename="confab-{label}.json"',
    }
    parts = stream_with_context(export(room, author()))
    return Response(parts, headers=headers, mimetype="application/json")


def _count(room: Room) -> Count:
    """Count what this person has written. A browser without a cookie has written nothing."""
    if "author" not in session:
        return Count()
    services().limits.take_form("data", page_requester())
    return count(room, author(), engine.yield_now)


def _render(
    room: Room, found: Count, erased: int | None = None, after: int | None = None
) -> Response:
    """Render the page, or answer a script with the counts.

    `erased` is how much has just been deleted, and `after` from where to continue with the rest.
    """
    if wants_json():
        return _json({"is_empty": found.is_empty, "summary": summary(found)})
    text = render_template(
        "your_data.html",
        room=room,
        found=found,
        summary=summary(found),
        erased=erased,
        after=after,
        csrf=csrf_token(),
    )
    return Response(text, headers={"Cache-Control": "no-store"})


def summary(found: Count) -> str:
    """Return a sentence that says how much a person has written in a room."""
    if found.is_empty:
        return "You have written nothing in this room."
    parts = [_quantity(found.messages, "message", "messages")]
    if found.system_messages:
        noun = "line about names or moderation"
        parts.append(_quantity(found.system_messages, noun, "lines about names or moderation"))
    if found.reactions:
        parts.append(_quantity(found.reactions, "reaction", "reactions"))
    *first, last = parts
    listing = f"{', '.join(first)} and {last}" if first else last
    return f"You have {listing} in this room."


def _quantity(number: int, singular: str, plural: str) -> str:
    return f"{number:,} {singular if number == 1 else plural}"


def _progress_json(progress: Progress) -> wire.JSON:
    return {"after": progress.after, "erased": progress.erased, "done": progress.is_complete}


def _json(answer: wire.JSON) -> Response:
    text = json.dumps(answer)
    return Response(text, headers={"Cache-Control": "no-store"}, mimetype="application/json")


def export(room: Room, person: str) -> Iterator[str]:
    """Yield the parts of a JSON document with everything that a person has written in a room.

    Its list of messages is in the order of the room. Reactions that the person has given follow.
    """
    head = {
        "room": room.label,
        "exported": wire.iso_timestamp(datetime.now(UTC)),
        "mark": room.mark(person),
    }
    yield json.dumps(head, indent=1).removesuffix("\n}") + ',\n "messages": ['
    separator = "\n"
    reactions: list[wire.JSON] = []
    for found in traces(room, person):
        for row in (*found.rows, *found.reacted):
            reactions += [{"seq": row.seq, "emoji": each} for each in given_reactions(row, person)]
        for row in found.rows:
            if row.author != person:
                continue
            yield separator + json.dumps(_exported(row))
            separator = ",\n"
        engine.yield_now()
    yield '\n ],\n "reactions": ' + json.dumps(reactions) + "\n}\n"


def _exported(row: MessageRow) -> wire.JSON:
    """Return a message as it is exported, without what others have added to it."""
    message: wire.JSON = {
        "seq": row.seq,
        "timestamp": wire.iso_timestamp(row.timestamp),
        "name": row.handle,
        "text": row.message,
    }
    if row.edited_at is not None:
        message["edited"] = wire.iso_timestamp(row.edited_at)
    if row.reply_to is not None:
        message["reply_to"] = row.reply_to
    if row.kind is not None:
        message["kind"] = row.kind
    return message

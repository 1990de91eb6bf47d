"""Pages and forms of hosts and moderators, which work without JavaScript.

Everybody in a room may see its rules; hosts change them there. Hosts and moderators see the people
of the room and act on them; hosts see what has been done. All forms are sent to `moderate`, whose
fields are the keys of the event of that name.
"""

from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, Response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from chat import wire
from chat.errors import Empty, Forbidden, HostLinkRefused, NotFound, Refusal
from chat.identity import author, csrf_token
from chat.models import MessageRow, Room
from chat.moderation.actions import Actor, check_may_act_on_target, name_of, perform
from chat.moderation.expiry import expiry_choices, expiry_seconds
from chat.moderation.people import ListedPerson, list_people
from chat.moderation.room_password import MAX_PASSWORD_CHARS
from chat.moderation.rules import Role, SanctionKind, check_open, utc_now
from chat.services import services
from chat.storage.audit import read_known_handles, read_log
from chat.storage.commands import DeleteMessage
from chat.storage.moderation_commands import CLAIM_SECONDS, SANCTION_WORDS, duration_name
from chat.storage.reports import reports_of_room, resolve_report
from chat.web.forms import (
    MAX_ROW_ID,
    check_csrf_token,
    form_number,
    json_answer,
    query_number,
    wants_json,
)
from chat.web.retry_after import retry_after_headers
from chat.web.room_lookup import accessible_room, find_existing_room, page_requester

LOG_ENTRIES = 50
"""Actions on one page of the audit."""

HOST_LINK_FRAGMENT = "#host="

MAX_SEQ_DIGITS = 15
"""Of the number of a message in an address."""

CONFIRMATIONS = {
    "clear": (
        "Clear the history?",
        "All messages of this room are deleted, for everybody. This cannot be undone.",
        "Clear history",
    ),
    "close": (
        "Close this room?",
        "Everybody is disconnected, all messages are deleted, and nobody can enter the room again. "
        "After 30 days, its link is free for a new room. This cannot be undone.",
        "Close room",
    ),
    "delete_all": (
        "Delete these messages?",
        "The messages of this person are deleted, for everybody. This cannot be undone.",
        "Delete messages",
    ),
    "hand_over": (
        "Make this person the host instead of you?",
        "You will have no role in this room, and cannot undo this.",
        "Hand over",
    ),
}
"""Actions that ask first: the title, the text and the button of the page that asks."""

blueprint = Blueprint("moderation", __name__)


@blueprint.get("/<label:label>/settings")
def settings(label: str) -> Response:
    """Show the rules of a room: to hosts as forms, to others as a list."""
    return _render_settings(accessible_room(label))


@blueprint.get("/<label:label>/people")
def people(label: str) -> Response:
    """List the people of a room for its hosts and moderators. Raises Forbidden."""
    room = accessible_room(label)
    _check_has_role(room)
    return _page("people.html", room, people=list_people(room))


@blueprint.get("/<label:label>/people/<mark>")
def person(label: str, mark: str) -> Response:
    """Show what hosts and moderators can do about a person. Raises Forbidden, NotFound."""
    return _render_person(accessible_room(label), mark)


@blueprint.get("/<label:label>/messages/<seq>")
def message(label: str, seq: str) -> Response:
    """Show a message with the actions that need no JavaScript. Raises NotFound."""
    room = accessible_room(label)
    is_number = seq.isascii() and seq.isdigit() and len(seq) <= MAX_SEQ_DIGITS
    return _render_message(room, _find_message(room, int(seq) if is_number else 0))


@blueprint.get("/<label:label>/audit")
def audit(label: str) -> Response:
    """Show a host what hosts and moderators have done, the latest first. Raises Forbidden."""
    return _render_audit(accessible_room(label))


@blueprint.post("/<label:label>/audit/resolve")
def resolve(label: str) -> AnyResponse:
    """Mark a report as dealt with. Raises Forbidden, BadRequest, NotFound."""
    room = accessible_room(label)
    check_csrf_token()
    _check_is_host(room)
    services().limits.take_event("moderate", page_requester())
    resolve_report(form_number("report", MAX_ROW_ID), room)
    return redirect(url_for("moderation.audit", label=label, _anchor="reports"), 303)


@blueprint.get("/<label:label>/host")
def host(label: str) -> Response:
    """Show the form that uses a host link, also to people who may not enter the room.

    Raises NotFound, Closed.
    """
    room = find_existing_room(label)
    check_open(room.rules)
    return _render_host_form(room)


@blueprint.post("/<label:label>/host")
def use_host_link(label: str) -> AnyResponse:
    """Make this person a host, with the secret of a host link; the whole link works too.

    A form is answered with a redirect to the room, and a script with JSON. Raises NotFound.
    """
    room = find_existing_room(label)
    try:
        answer = _use_host_link(room)
    except HostLinkRefused as refusal:
        if wants_json():
            raise
        return _render_host_form(room, refusal)
    if wants_json():
        return json_answer(answer)
    return redirect(url_for("pages.room", label=label), 303)


@blueprint.post("/<label:label>/moderate")
def moderate(label: str) -> AnyResponse:
    """Perform the action of a form, after asking where it cannot be undone.

    The answer is a redirect (303) to the page where the result can be seen, or that page with the
    reason of a refusal. Raises what check_access raises.
    """
    room = accessible_room(label)
    try:
        check_csrf_token()
        if request.form.get("action") == "delete":
            return _delete_message(room)
        asked = _parse_action()
        if asked.action in CONFIRMATIONS and request.form.get("confirm") != "yes":
            return _ask_first(room, asked)
        services().limits.take_event("moderate", page_requester())
        answer = perform(room, _actor(room), asked)
    except Refusal as refusal:
        if wants_json():
            raise
        return _render_settings(room, refusal)
    if asked.action == "host_link":
        fragment = f"host={answer['secret']}"
        link = url_for("pages.room", label=label, _external=True, _anchor=fragment)
        return _page("host_link.html", room, link=link)
    return redirect(_address_after(label, asked, answer), 303)


def _use_host_link(room: Room) -> wire.JSON:
    check_csrf_token()
    services().limits.take_event("moderate", page_requester())
    text = request.form.get("secret", "").strip()
    secret = text.partition(HOST_LINK_FRAGMENT)[2] or text
    asked = wire.Moderate.parse({"action": "use_host_link", "secret": secret})
    return perform(room, _actor(room), asked)


def _actor(room: Room) -> Actor:
    """Return this person, with the name they use in this room: only that one has been checked."""
    return Actor(author(), name_of(room, room.mark(author())))


def _role(room: Room) -> Role | None:
    return room.rules.role(room.mark(author()))


def _check_has_role(room: Room) -> None:
    if _role(room) is None:
        raise Forbidden


def _check_is_host(room: Room) -> None:
    if _role(room) is not Role.HOST:
        raise Forbidden("Only a host of this room can do this.")


def _parse_action() -> wire.Moderate:
    """Parse the fields of a form, which are texts; empty ones are left out. Raises BadRequest."""
    fields: dict[str, object] = {
        key: request.form[key] for key in wire.Moderate.model_fields if request.form.get(key)
    }
    if "seconds" in fields:
        fields["seconds"] = form_number("seconds")
    if "address" in fields:
        fields["address"] = fields["address"] == "yes"
    if fields.get("action") == "password" and "password" not in fields:
        if request.form.get("remove") != "yes":
            raise Empty("The password is empty.")
        fields["password"] = ""
    return wire.Moderate.parse(fields)


def _delete_message(room: Room) -> AnyResponse:
    """Delete the message that the form names. Raises what DeleteMessage refuses."""
    services().limits.take_event("delete", page_requester())
    asked = wire.Delete.parse({"seq": form_number("seq")})
    services().journal.submit(DeleteMessage(room, author(), asked.seq))
    return redirect(url_for("pages.room", label=room.label, _anchor=f"m-{asked.seq}"), 303)


def _address_after(label: str, asked: wire.Moderate, answer: wire.JSON) -> str:
    """Return the address of the page that shows the result of an action."""
    if asked.action == "close":
        return url_for("pages.room", label=label)
    if request.form.get("back") == "audit":
        return url_for("moderation.audit", label=label, _anchor="sanctions")
    if asked.target is None or _role(Room.find(label)) is None:
        return url_for("moderation.settings", label=label, _anchor=asked.action)
    deleted = answer.get("count")
    return url_for("moderation.person", label=label, mark=asked.target, deleted=deleted)


def _ask_first(room: Room, asked: wire.Moderate) -> Response:
    """Render the page on which a person confirms an action; nothing is done yet.

    Raises Forbidden if the action would be refused to this person after they have confirmed it.
    """
    if asked.action != "delete_all":
        _check_is_host(room)
    if asked.target is not None:
        check_may_act_on_target(room, _actor(room), asked.target)
    title, text, button = CONFIRMATIONS[asked.action]
    fields = {key: str(value) for key, value in asked.model_dump(exclude_unset=True).items()}
    name = name_of(room, asked.target) if asked.target else ""
    return _page(
        "confirm.html", room, title=title, text=text, button=button, fields=fields, name=name
    )


def _find_message(room: Room, seq: int) -> MessageRow:
    """Return a message that somebody posted. Raises NotFound."""
    found = room.history_after(seq - 1, 1).messages if seq > 0 else []
    if not found or found[0].seq != seq or found[0].kind is not None:
        raise NotFound("There is no such message in this room.")
    return found[0]


def _render_message(room: Room, row: MessageRow) -> Response:
    mark = room.mark(row.author)
    is_own = row.author == author()
    return _page(
        "message.html",
        room,
        row=row,
        mark=mark,
        is_own=is_own,
        can_delete=row.deleted_at is None and (is_own or _role(room) is not None),
    )


def _render_settings(room: Room, refusal: Refusal | None = None) -> Response:
    """Render the settings, with the reason why an action was refused."""
    current = Room.find(room.label).rules
    age_seconds = (utc_now() - room.created_at).total_seconds()
    return _page(
        "settings.html",
        room,
        refusal,
        rules=current,
        expiry=expiry_seconds(current),
        expiry_choices=expiry_choices(),
        slow_mode_choices=wire.ALLOWED_SECONDS["slow_mode"],
        may_become_host=not current.hosts and age_seconds < CLAIM_SECONDS,
        max_password_chars=MAX_PASSWORD_CHARS,
    )


def _render_person(room: Room, mark: str) -> Response:
    _check_has_role(room)
    found = next((each for each in list_people(room) if each.mark == mark), None)
    if found is None:
        known = read_known_handles(room, [mark])
        if mark not in known:
            raise NotFound("There is no such person in this room.")
        found = ListedPerson(mark, known[mark])
    return _page(
        "person.html",
        room,
        person=found,
        is_self=mark == room.mark(author()),
        may_act=_role(room) is Role.HOST or found.role is None,
        mute_choices=wire.ALLOWED_SECONDS["mute"],
        deletion_choices=wire.ALLOWED_SECONDS["delete_all"],
        deleted=request.args.get("deleted", type=int),
    )


def _render_audit(room: Room) -> Response:
    _check_is_host(room)
    before = query_number("before", MAX_ROW_ID)
    entries = read_log(room, LOG_ENTRIES + 1, before)
    people_by_mark = {each.mark: each for each in list_people(room)}
    return _page(
        "audit.html",
        room,
        entries=entries[:LOG_ENTRIES],
        older=entries[LOG_ENTRIES - 1].id if len(entries) > LOG_ENTRIES else None,
        is_first_page=before is None,
        reports=reports_of_room(room) if before is None else [],
        people=people_by_mark,
        sanctioned=[each for each in people_by_mark.values() if each.sanctions],
    )


def _render_host_form(room: Room, refusal: Refusal | None = None) -> Response:
    return _page("use_host_link.html", room, refusal)


def _page(
    template: str,
    room: Room,
    refusal: Refusal | None = None,
    **values: Any,  # what the template shows
) -> Response:
    """Render a page, which no cache keeps, with the status of a refusal."""
    text = render_template(
        f"moderation/{template}",
        room=room,
        role=_role(room),
        csrf=csrf_token(),
        refused="" if refusal is None else str(refusal),
        **values,
    )
    headers = {"Cache-Control": "no-store"}
    if refusal is None:
        return Response(text, headers=headers)
    return Response(text, refusal.status, headers | retry_after_headers(refusal))


def _utc(when: datetime) -> str:
    """Return a time for people, such as `26 Nov 2026, 15:04 UTC`."""
    utc = when.astimezone(UTC)
    return f"{utc.day} {utc:%b %Y, %H:%M} UTC"


def _sanction_state(kind: SanctionKind) -> str:
    """Return what a person is who is under a sanction, such as `muted`."""
    return SANCTION_WORDS[kind].imposed


def _lifting_action(kind: SanctionKind) -> str:
    return SANCTION_WORDS[kind].lifting_action


blueprint.add_app_template_filter(_utc, "utc")
blueprint.add_app_template_filter(duration_name)
blueprint.add_app_template_global(expiry_choices)
blueprint.add_app_template_filter(_sanction_state, "sanction_state")
blueprint.add_app_template_filter(_lifting_action, "lifting_action")

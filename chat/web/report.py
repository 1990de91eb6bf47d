"""The form that reports a message or a room to its hosts, and to the operator of the server."""

from typing import Annotated

from flask import Blueprint, Response, redirect, render_template, request, url_for
from pydantic import AfterValidator
from pydantic_core import PydanticCustomError
from werkzeug.wrappers import Response as AnyResponse

from chat.current_config import current_config
from chat.errors import Refusal
from chat.identity import author, csrf_token
from chat.models import MessageRow, Room
from chat.payload import Number, Payload
from chat.services import services
from chat.storage.reports import create_report, reportable_message
from chat.text.validation import Text
from chat.web.forms import (
    check_csrf_token,
    form_number,
    json_refusal,
    query_number,
    wants_json,
)
from chat.web.room_lookup import accessible_room, page_requester

blueprint = Blueprint("report", __name__)


def _check_reason(text: str) -> str:
    max_chars = current_config().reason_chars
    if len(text) > max_chars:
        raise PydanticCustomError(
            "too_long", "is longer than {max_chars} characters", {"max_chars": max_chars}
        )
    return text


class ReportForm(Payload):
    """What a report says. Without `seq`, it is about the room."""

    reason: Annotated[Text, AfterValidator(_check_reason)]
    to_operator: bool
    seq: Number | None = None


@blueprint.get("/<label:label>/report")
def show(label: str) -> AnyResponse:
    """Show the form. `?seq=` names a message; without it, one of the last can be chosen.

    Raises BadRequest, NotFound, Closed, Banned, Removed, PasswordRequired, RateLimited, Busy.
    """
    room = accessible_room(label)
    seq = query_number("seq")
    message = None if seq is None else reportable_message(room, seq)
    return _render(room, message)


@blueprint.post("/<label:label>/report")
def post(label: str) -> AnyResponse:
    """Store a report. A refused one is shown again, with the reason."""
    try:
        check_csrf_token()
        room = accessible_room(label)
        asked = ReportForm.parse(_fields(room))
        message = None if asked.seq is None else reportable_message(room, asked.seq)
        services().limits.take_form("reports", page_requester())
        create_report(
            room,
            room.mark(author()),
            asked.reason,
            message,
            to_operator=asked.to_operator,
        )
    except Refusal as refusal:
        if wants_json():
            return json_refusal(refusal)
        raise
    if wants_json():
        return Response(status=204)
    return redirect(url_for("report.sent", label=label), 303)


@blueprint.get("/<label:label>/report/sent")
def sent(label: str) -> AnyResponse:
    """Confirm a report."""
    return _page("report_sent.html", room=accessible_room(label))


def _fields(room: Room) -> dict[str, object]:
    """Return the fields of the form. A room without hosts can only be reported to the operator."""
    form = request.form
    to_operator = form.get("to_operator") == "yes" or not room.rules.hosts
    fields: dict[str, object] = {"reason": form.get("reason", ""), "to_operator": to_operator}
    if form.get("seq"):
        fields["seq"] = form_number("seq")
    return fields


def _render(room: Room, message: MessageRow | None) -> Response:
    own = author()
    latest = [] if message is not None else room.latest().messages
    others = [row for row in latest if row.kind is None and row.deleted_at is None]
    return _page(
        "report.html",
        room=room,
        message=message,
        others=[row for row in reversed(others) if row.author != own],
        csrf=csrf_token(),
    )


def _page(template: str, **values: object) -> Response:
    text = render_template(template, **values)
    return Response(text, headers={"Cache-Control": "no-store"})

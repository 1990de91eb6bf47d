"""The pages for people: the home page, a new room, a room, and its QR code."""

import io
import secrets
from datetime import UTC, datetime
from functools import lru_cache
from itertools import chain

import segno
from flask import (
    Blueprint,
    Response,
    abort,
    redirect,
    render_template,
    request,
    session,
    url_for,
)
from werkzeug.wrappers import Response as AnyResponse

from chat import engine, wire
from chat.current_config import current_config
from chat.errors import BadRequest, Busy, NotFound, RateLimited, Refusal
from chat.identity import author, csrf_token, is_valid_csrf_token, remember_room, you
from chat.membership import check_failed_joins
from chat.models import MessagePage, Room
from chat.services import services
from chat.storage import journal
from chat.storage.commands import PostMessage
from chat.text import markdown
from chat.text.graphemes import initial
from chat.text.plain_text import first_line
from chat.text.rendered_messages import RenderedMessages
from chat.web.client_address import client_address
from chat.web.labels import random_label
from chat.web.retry_after import retry_after_headers
from chat.web.room_links import NoRoom, find_room_link
from chat.web.visits import is_navigation, is_visit

CSRF_MESSAGE = (
    "Your session expired; please send again. "
    "Make sure that your browser accepts cookies from this site."
)

MAX_LABEL_ATTEMPTS = 5
"""How many random labels are tried; two rooms hardly ever get the same one."""

MAX_QR_ADDRESS_CHARS = 300
"""A longer address takes long to encode, and cameras hardly recognize its code."""

MAX_CACHED_QR_CODES = 1_000
"""A code takes 2 KB, that of the longest address 8 KB."""

HUE_COUNT = 20
"""How many colors css/avatar.css has."""

OWN_HUE = "own"

blueprint = Blueprint("pages", __name__)
blueprint.add_app_template_filter(RenderedMessages(engine.yield_now).html, "markdown")
blueprint.add_app_template_filter(first_line)
blueprint.add_app_template_filter(initial)
blueprint.add_app_template_test(markdown.is_emoji_only, "large")


@blueprint.get("/")
def about() -> AnyResponse:
    """Show the home page; with `?room=`, go to the room that its label, link or words name."""
    text = request.args.get("room", "").strip()
    if not text:
        return _render_about()
    try:
        link = find_room_link(text, request, current_config())
    except NoRoom as refusal:
        return _render_about(str(refusal))
    return redirect(url_for("pages.room", label=link.label, _anchor=link.anchor or None))


@blueprint.get("/new/")
def new() -> AnyResponse:
    """Create a room with a random label and go there; show the home page if nobody visits this.

    Raises RateLimited, and Busy when no label was free.
    """
    if not is_visit(request) or not is_navigation(request):
        return _render_about()
    return _go_to_new_room()


@blueprint.post("/new/")
def post_new() -> AnyResponse:
    """Create a room for the form of the home page.

    Raises RateLimited, and Busy when no label was free.
    """
    if not is_valid_csrf_token(request.form.get("csrf", "")):
        return _render_about(not_created=CSRF_MESSAGE, status=400)
    return _go_to_new_room()


def _render_about(refused: str = "", not_created: str = "", status: int = 200) -> Response:
    """Render the home page, with the reason why a label was refused, or no room created."""
    text = render_template(
        "about.html", refused=refused, not_created=not_created, csrf=csrf_token()
    )
    return Response(text, status, {"Cache-Control": "no-store"})


def _go_to_new_room() -> AnyResponse:
    _take_room_token()
    for _ in range(MAX_LABEL_ATTEMPTS):
        created = journal.create_room(random_label())
        if created is not None:
            return redirect(url_for("pages.room", label=created.label), 303)
    raise Busy


@blueprint.get("/<label:label>/")
def room(label: str) -> AnyResponse:
    """Show a room with its last messages, or an earlier page of them; create it on first visit."""
    if is_visit(request):
        return _render_room(_get_or_create_room(label), {})
    check_failed_joins(label, _address_key())
    try:
        existing = Room.find(label)
    except NotFound:
        services().limits.overdraw("address_failed_joins", _address_key())
        return _render_missing_room(label)
    return _render_room(existing, {})


@blueprint.post("/<label:label>/")
def post_message(label: str) -> AnyResponse:
    """Post a message without JavaScript. A refused one is shown again, with the reason."""
    if request.files:
        abort(415)
    posted_room = _get_or_create_room(label)
    form = {key: request.form.get(key, "") for key in ("handle", "message", "id")}
    try:
        if not is_valid_csrf_token(request.form.get("csrf", "")):
            raise BadRequest(CSRF_MESSAGE)
        posted = wire.Chat.parse(form)
        command = PostMessage(posted_room, author(), posted.handle, posted.message, posted.id)
        limits = services().limits
        limits.take_event("chat", limits.requester(author(), client_address()), posted.message)
        result = services().journal.submit(command)
    except Refusal as refusal:
        if not refusal.retry:
            # With `retry` the message may have been stored: the same id makes a repetition safe.
            del form["id"]
        response = _render_room(posted_room, form | {"refused": str(refusal)}, refusal.status)
        response.headers.update(retry_after_headers(refusal))
        return response
    session["handle"] = form["handle"]
    return redirect(url_for("pages.room", label=label, _anchor=f"m-{result.seq}"), 303)


@blueprint.post("/privacy/forget")
def forget() -> AnyResponse:
    """Delete the cookie of this browser: its next visit gets a new identity.

    A form is answered with a redirect, and a script that prefers a minimal answer with 204.
    """
    if not is_valid_csrf_token(request.form.get("csrf", "")):
        raise BadRequest(CSRF_MESSAGE)
    session.clear()
    if request.headers.get("Prefer") == "return=minimal":  # RFC 7240
        return Response(status=204)
    return redirect(url_for("pages.about"), 303)


@blueprint.get("/<label:label>/qr.svg")
def qr(label: str) -> AnyResponse:
    """Show the address of a room as a QR code. This does not create the room."""
    address = url_for("pages.room", label=label, _external=True)
    if len(address) > MAX_QR_ADDRESS_CHARS:
        abort(400, "The address of this room is too long for a QR code.")
    # Not in shared caches: the address is all that is needed to enter the room.
    headers = {"Cache-Control": "private, max-age=86400"}
    return Response(qr_svg(address), headers=headers, mimetype="image/svg+xml")


@lru_cache(maxsize=MAX_CACHED_QR_CODES)
def qr_svg(address: str) -> bytes:
    """Return the QR code of an address as an SVG document."""
    document = io.BytesIO()
    code = segno.make_qr(address, error="m")
    code.save(
        document,
        kind="svg",
        border=4,
        light="white",
        omitsize=True,
        svgclass=None,
        lineclass=None,
    )
    return document.getvalue()


def _get_or_create_room(label: str) -> Room:
    """Return a room, created on the first visit. Raises RateLimited, Busy."""
    author()  # sets the cookie by which the page's socket is the same person
    check_failed_joins(label, _address_key())
    try:
        visited = Room.find(label)
    except NotFound:
        visited = _create_visited_room(label)
    remember_room(label)
    return visited


def _create_visited_room(label: str) -> Room:
    try:
        _take_room_token()
    except RateLimited:
        # Otherwise the answers would reveal, without a limit, which labels exist.
        services().limits.overdraw("address_failed_joins", _address_key())
        raise
    return journal.get_or_create_room(label)


def _take_room_token() -> None:
    """Take the token of a new room from this client address. Raises RateLimited."""
    services().limits.take("address_rooms", _address_key())


def _address_key() -> str | None:
    return services().limits.address_key(client_address())


def _render_room(shown: Room, form: dict[str, str], status: int = 200) -> Response:
    """Render a room. `form` holds the fields of a refused message, and the reason as `refused`."""
    latest = shown.latest()
    listed = _requested_page(shown) or latest
    return _room_response(shown, latest, listed, form, status)


def _render_missing_room(label: str) -> Response:
    """Render the empty page of a room that does not exist, without creating it."""
    missing = Room(label=label, name="", head=0, epoch="")
    empty = MessagePage(head=0, epoch="", name="", messages=[], upto=0)
    return _room_response(missing, empty, empty, {}, is_missing=True)


def _room_response(
    shown: Room,
    latest: MessagePage,
    listed: MessagePage,
    form: dict[str, str],
    status: int = 200,
    is_missing: bool = False,
) -> Response:
    """Render the page of a room. Scripts start from `latest`; without them `listed` is shown."""
    earlier, later = _page_links(shown, listed)
    # A fresh id makes it safe to send the form twice.
    fields = {
        "csrf": csrf_token(),
        "id": secrets.token_urlsafe(16),
        "handle": session.get("handle", ""),
        "message": "",
    }
    page = {**wire.joined(shown, latest), **you(shown)}
    rows = wire.history(shown, listed)["messages"]
    text = render_template(
        "room.html",
        room=shown,
        page=page,  # what the script starts from
        rows=rows,  # what is shown without JavaScript
        faces=_faces(rows, page["you"]["mark"]),
        earlier=earlier,
        later=later,
        form=fields | form,
        transports=current_config().offered_transports(),
        is_missing=is_missing,
        now=wire.iso_timestamp(datetime.now(UTC)),
    )
    return Response(text, status, {"Cache-Control": "no-store"})


def _faces(rows: list[wire.JSON], own_mark: str) -> dict[str, dict[str, str]]:
    """Return the color and the name of everybody in a list of messages, by mark.

    Colors are given out in the order in which people appear, as in state/person_hues.js.
    """
    names: dict[str, str] = {row["mark"]: row["handle"] for row in rows if row["mark"]}
    for row in rows:
        for mark in chain.from_iterable(row.get("reactions", {}).values()):
            names.setdefault(mark, "")
    others = [mark for mark in names if mark != own_mark]
    hues = {mark: str(number % HUE_COUNT) for number, mark in enumerate(others)}
    return {mark: {"hue": hues.get(mark, OWN_HUE), "name": names[mark]} for mark in names}


def _requested_page(shown: Room) -> MessagePage | None:
    """Return the page that `?before=` or `?after=` asks for.

    Returns None without them, and when they do not name a page with messages: a link may have been
    cut off when it was copied.
    """
    given = {
        key: request.args.get(key, type=int) for key in ("before", "after") if key in request.args
    }
    if not given:
        return None
    try:
        asked = wire.History.parse(given)
    except BadRequest:
        return None
    page = shown.history(current_config().page_messages, asked.before, asked.after)
    return page if page.messages else None


def _page_links(shown: Room, listed: MessagePage) -> tuple[str | None, str | None]:
    """Return the addresses of the earlier and the later page; None where there is none."""
    earlier = None
    later = None
    if listed.messages and listed.older:
        earlier = url_for("pages.room", label=shown.label, before=listed.messages[0].seq)
    if listed.messages and listed.newer:
        later = url_for("pages.room", label=shown.label, after=listed.messages[-1].seq)
    return earlier, later

"""The pages for people: the home page, a new room, a room, and its QR code."""

import io
import secrets
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
from chat.errors import BadRequest, Busy, NameTaken, NotFound, RateLimited, Refusal
from chat.identity import author, csrf_token, remember_room
from chat.membership import check_access, check_failed_joins, name_claim, you
from chat.models import MessagePage, Room, room_mark
from chat.moderation.rules import Role, utc_now
from chat.services import services
from chat.storage import journal
from chat.storage.commands import PostMessage
from chat.storage.moderation_commands import CLAIM_SECONDS
from chat.text import markdown
from chat.text.graphemes import initial
from chat.text.plain_text import first_line
from chat.text.rendered_messages import RenderedMessages
from chat.text.skeletons import confusable_names
from chat.web.client_address import client_address
from chat.web.forms import check_csrf_token
from chat.web.labels import private_label, random_label
from chat.web.password_form import give_password
from chat.web.refusal_pages import is_about_entering
from chat.web.retry_after import retry_after_headers
from chat.web.room_links import NoRoom, find_room_link
from chat.web.room_lookup import find_existing_room
from chat.web.visits import is_navigation, is_visit

MAX_LABEL_ATTEMPTS = 5
"""How many random labels are tried; two rooms hardly ever get the same one."""

MAX_QR_ADDRESS_CHARS = 300
"""A longer address takes long to encode, and cameras hardly recognize its code."""

MAX_CACHED_QR_CODES = 1_000
"""A code takes 2 KB, that of the longest address 8 KB."""

QR_CACHING = "private, max-age=86400"

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
    return _go_to_new_room(is_private="private" in request.args)


@blueprint.post("/new/")
def post_new() -> AnyResponse:
    """Create a room for the form of the home page.

    Raises RateLimited, and Busy when no label was free.
    """
    try:
        check_csrf_token()
    except BadRequest as refusal:
        return _render_about(not_created=str(refusal), status=refusal.status)
    return _go_to_new_room(is_private="private" in request.form)


def _render_about(refused: str = "", not_created: str = "", status: int = 200) -> Response:
    """Render the home page, with the reason why a label was refused, or no room created."""
    text = render_template(
        "about.html", refused=refused, not_created=not_created, csrf=csrf_token()
    )
    return Response(text, status, {"Cache-Control": "no-store"})


def _go_to_new_room(*, is_private: bool) -> AnyResponse:
    _take_room_token()
    for _ in range(MAX_LABEL_ATTEMPTS):
        label = private_label() if is_private else random_label()
        host_mark = room_mark(label, author())
        created = journal.create_room(label, host_mark=host_mark, is_private=is_private)
        if created is not None:
            return redirect(url_for("pages.room", label=created.label), 303)
    raise Busy


@blueprint.get("/<label:label>/")
def room(label: str) -> AnyResponse:
    """Show a room with its last messages, or an earlier page of them; create it on first visit."""
    if is_visit(request):
        return _render_room(_get_or_create_room(label), {})
    try:
        existing = find_existing_room(label)
    except NotFound:
        return _render_missing_room(label)
    if existing.is_private:
        return _render_missing_room(label)
    return _render_room(existing, {})


@blueprint.post("/<label:label>/")
def post_message(label: str) -> AnyResponse:
    """Post a message without JavaScript. A refused one is shown again, with the reason.

    The page that asks for the password of the room sends its form here too.
    """
    if request.files:
        abort(415)
    if "password" in request.form:
        give_password(label)
        before = request.args.get("before")
        after = request.args.get("after")
        return redirect(url_for("pages.room", label=label, before=before, after=after), 303)
    posted_room = _get_or_create_room(label) if is_visit(request) else find_existing_room(label)
    form = {key: request.form.get(key, "") for key in ("handle", "message", "id")}
    try:
        check_csrf_token()
        check_access(posted_room)
        posted = wire.Chat.parse(form)
        command = PostMessage(
            posted_room,
            author(),
            posted.handle,
            posted.message,
            posted.id,
            claim=name_claim(),
        )
        limits = services().limits
        limits.take_event("chat", limits.requester(author(), client_address()), posted.message)
        result = services().journal.submit(command)
    except Refusal as refusal:
        if is_about_entering(refusal):
            raise
        if not refusal.retry:
            # With `retry` the message may have been stored: the same id makes a repetition safe.
            del form["id"]
        form["refused"] = str(refusal)
        if isinstance(refusal, NameTaken) and refusal.suggestion is not None:
            form["handle"] = refusal.suggestion  # so that sending the form again uses it
        response = _render_room(posted_room, form, refusal.status)
        response.headers.update(retry_after_headers(refusal))
        return response
    session["handle"] = form["handle"]
    return redirect(url_for("pages.room", label=label, _anchor=f"m-{result.seq}"), 303)


@blueprint.get("/<label:label>/qr.svg")
def qr(label: str) -> AnyResponse:
    """Show the address of a room as a QR code. This does not create the room."""
    address = url_for("pages.room", label=label, _external=True)
    if len(address) > MAX_QR_ADDRESS_CHARS:
        abort(400, "The address of this room is too long for a QR code.")
    headers = {"Cache-Control": _qr_caching(label)}
    return Response(qr_svg(address), headers=headers, mimetype="image/svg+xml")


def _qr_caching(label: str) -> str:
    """Return for how long a browser may keep the QR code of a room.

    Never in shared caches: the address is all that is needed to enter the room.
    """
    try:
        rules = find_existing_room(label).rules
    except NotFound:
        return QR_CACHING
    except Refusal:
        return "no-store"
    return "no-store" if rules.is_private or rules.password_hash else QR_CACHING


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
    """Render a room. `form` holds the fields of a refused message, and the reason as `refused`.

    Raises what check_access raises.
    """
    check_access(shown)
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
        confusable_names=confusable_names((row["mark"], row["handle"]) for row in rows),
        earlier=earlier,
        later=later,
        form=fields | form,
        transports=current_config().offered_transports(),
        is_missing=is_missing,
        is_host=latest.rules.role(page["you"]["mark"]) is Role.HOST,
        claim_seconds=0 if is_missing else _claim_seconds(shown, latest),
        now=wire.iso_timestamp(utc_now()),
    )
    headers = {"Cache-Control": "no-store"}
    if shown.is_private:
        headers["Referrer-Policy"] = "no-referrer"
    return Response(text, status, headers)


def _claim_seconds(shown: Room, latest: MessagePage) -> int:
    """Return how long the room can still get a host by *Become host*, in seconds; 0: not."""
    if latest.rules.hosts:
        return 0
    age = utc_now() - shown.created_at
    return max(0, CLAIM_SECONDS - int(age.total_seconds()))


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

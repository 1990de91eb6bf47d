"""What is served over HTTP: about, a new room, a room, its QR code, the static files, and the health check."""

import io
import re
import secrets
from functools import lru_cache, partial

import segno
from flask import Blueprint, Response, abort, current_app, redirect, render_template, request, session, url_for
from haikunator import Haikunator
from werkzeug.exceptions import HTTPException
from werkzeug.routing import BaseConverter
from werkzeug.wrappers import Response as AnyResponse

from chat import database, files, journal, markdown, wire
from chat.errors import BadRequest, Busy, Refused
from chat.identity import author, form_token, is_own_form, you
from chat.models import Page, Room
from chat.preload import preload_scripts

A_LABEL = "The name of a room has 1 to 50 letters, digits, hyphens and underscores, and nothing else."
RESERVED = {"new", "about", "api", "static", "healthz", "readyz", "metrics", "admin"}
STRANGE_FORM = "This page could not tell that it was you. Please send it once more; it needs the cookie of this site."
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self' {sockets}; "
    "manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
PAGES = {
    404: ("There is no such page", A_LABEL),
    500: ("Something went wrong here", "It is our fault, and it is in the log. Please try again."),
}

pages = Blueprint("pages", __name__)


class LabelConverter(BaseConverter):
    """The labels of rooms in URLs: letters, digits, underscore and hyphen, at most fifty. Case matters."""

    regex = "[A-Za-z0-9_-]{1,50}"


@pages.get("/")
def about() -> str | AnyResponse:
    """What Confab is, and the ways into a room."""
    wanted = request.args.get("room", "").strip()
    if is_label(wanted):
        return redirect(url_for("pages.room", label=wanted))
    return render_template("about.html", refused=wanted and A_LABEL)


@pages.route("/new/", methods=["GET", "POST"])
def new() -> AnyResponse:
    """Make a room with a name nobody has, and go there."""
    for length in (4, 4, 4, 4, 4, 5, 6, 8, 10, 12):  # five draws, then longer numbers
        made = journal.make_room(Haikunator().haikunate(token_length=length))
        if made is not None:
            return redirect(url_for("pages.room", label=made.label), 303)
    raise Busy


@pages.get("/<label:label>/")
def room(label: str) -> AnyResponse:
    """A room, made by whoever comes first, with what was said there last; or a page further back."""
    return _show(_open(label), {})


@pages.post("/<label:label>/")
def say(label: str) -> AnyResponse:
    """Say something without scripts. What is refused is shown again, with the reason."""
    here = _open(label)
    given = {key: request.form.get(key, "") for key in ("handle", "message", "id")}
    try:
        if not is_own_form(request.form.get("csrf", "")):
            raise BadRequest(STRANGE_FORM)
        said = journal.post(here, author(), wire.Chat.parse(given)).message
    except Refused as refusal:
        if not refusal.retry:  # else it may have been stored all the same: the same id makes it one message
            del given["id"]
        return _show(here, given | {"refused": str(refusal)}, refusal.status)
    session["handle"] = given["handle"]
    return redirect(url_for("pages.room", label=label, _anchor=f"m-{said.seq}"), 303)


@pages.get("/<label:label>/qr.svg")
def qr(label: str) -> AnyResponse:
    """The address of a room for the camera of a telephone. It makes no room."""
    if not is_label(label):
        abort(404)
    kept = {"Cache-Control": "private, max-age=86400"}  # who has the address has the room
    return Response(_qr(url_for("pages.room", label=label, _external=True)), headers=kept, mimetype="image/svg+xml")


@lru_cache(maxsize=1_000)
def _qr(address: str) -> bytes:
    drawn = io.BytesIO()
    code = segno.make_qr(address, error="m")
    code.save(drawn, kind="svg", border=4, light="white", omitsize=True, svgclass=None, lineclass=None)
    return drawn.getvalue()


def _open(label: str) -> Room:
    if not is_label(label):
        abort(404)
    author()  # the page sets the cookie by which the socket knows its person
    return journal.open_room(label)


def _show(here: Room, form: wire.JSON, status: int = 200) -> Response:
    page = here.joined(after=None)
    listed = _requested_page(here) or page
    further = partial(url_for, "pages.room", label=here.label)
    # With the id, sending a form twice says it once.
    empty = {"id": secrets.token_urlsafe(16), "handle": session.get("handle", ""), "message": ""}
    text = render_template(
        "room.html",
        room=here,
        page={**wire.joined(here, page), **you(here)},  # what the script starts from
        rows=wire.history(here, listed)["messages"],  # what is to be read without it
        earlier=further(before=listed.messages[0].seq) if listed.older and listed.messages else None,
        later=further(after=listed.messages[-1].seq) if listed.newer and listed.messages else None,
        form={"csrf": form_token()} | empty | form,
        transports=current_app.config["CONFAB"].offered(),
    )
    return Response(text, status, {"Cache-Control": "no-store"})


def _requested_page(room: Room) -> Page | None:
    """The page that `?before=` or `?after=` asks for, or None: links get cut off, and an empty page helps nobody."""
    given = {key: request.args.get(key, type=int) for key in ("before", "after") if key in request.args}
    if not given:
        return None
    try:
        asked = wire.History.parse(given)
    except BadRequest:
        return None
    found = room.history(current_app.config["CONFAB"].page, asked.before, asked.after)
    return found if found.messages else None


@pages.get("/healthz")
def healthz() -> wire.JSON:
    """Whether this process answers and its database does. Raises Busy."""
    with database.reading() as connection:
        connection.exec_driver_sql("SELECT 1")
    return wire.ok()


@pages.get("/static/<version>/<path:filename>")
def static(version: str, filename: str) -> AnyResponse:
    """A file the pages need. Its address names the version, so it may be kept for ever."""
    if filename not in files.files():
        abort(404)
    how = None if filename.endswith(files.PICTURES) else files.encoding(request.accept_encodings)
    response = _encoded(Response(files.packed(filename, how), mimetype=files.kind(filename)), how)
    is_now = version == files.version()  # a page of another release may ask: then the file is not for keeping
    response.cache_control.max_age = 365 * 24 * 3600 if is_now else 0
    response.cache_control.public = response.cache_control.immutable = is_now
    return response


@pages.app_template_global()
def asset(filename: str) -> str:
    """The address of a file below static/, of the version that is there now."""
    return url_for("pages.static", version=files.version(), filename=filename)


pages.add_app_template_global(preload_scripts)
pages.add_app_template_filter(markdown.html, "markdown")
pages.add_app_template_test(markdown.only_pictures, "large")


def is_label(text: str) -> bool:
    """Whether a room may have this label."""
    return re.fullmatch(LabelConverter.regex, text) is not None and text.lower() not in RESERVED


@pages.after_app_request
def safely(response: Response) -> Response:
    """Every page: made of our own files only, in nobody's frame, in no search engine, its address told to nobody."""
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    if request.endpoint == "pages.static":
        return response  # half a hundred files are no pages, and each would carry what is more than itself
    sockets = f"ws://{request.host} wss://{request.host}"
    response.headers.setdefault("Content-Security-Policy", POLICY.format(sockets=sockets))
    response.headers.setdefault("Referrer-Policy", "same-origin")
    response.headers.setdefault("X-Robots-Tag", "noindex")
    return response


@pages.after_app_request
def briefly(response: Response) -> Response:
    """Pages and drawings, compressed as well as can be done while somebody waits."""
    if response.mimetype not in ("text/html", "image/svg+xml") or "Content-Encoding" in response.headers:
        return response
    if how := files.encoding(request.accept_encodings):
        response.set_data(files.QUICK[how](response.get_data()))
    return _encoded(response, how)


def _encoded(response: Response, how: str | None) -> Response:
    response.vary.add("Accept-Encoding")
    if how:
        response.content_encoding = how
    return response


@pages.app_errorhandler(HTTPException)
def not_so(error: HTTPException) -> tuple[str, int]:
    """A page for what HTTP refuses."""
    code = error.code or 500
    title, text = PAGES.get(code, (error.name, error.description or ""))
    return render_template("error.html", code=code, title=title, text=text), code


@pages.app_errorhandler(Refused)
def refused(error: Refused) -> tuple[str, int]:
    """A page for what Confab refuses."""
    return render_template("error.html", code=error.status, title="Not now", text=str(error)), error.status

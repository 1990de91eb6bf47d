"""What is served over HTTP: about, a new room, a room, its QR code, the static files, and the health check."""

import io
import re
import secrets
from functools import lru_cache, partial

import segno
from flask import (
    Blueprint,
    Response,
    abort,
    current_app,
    jsonify,
    redirect,
    render_template,
    request,
    session,
    url_for,
)
from haikunator import Haikunator
from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.routing import BaseConverter
from werkzeug.wrappers import Response as AnyResponse

from chat import engine, wire
from chat.errors import BadRequest, Busy, Draining, NotFound, Refusal, ServerError
from chat.identity import author, csrf_token, is_valid_csrf_token, you
from chat.models import Page, Room
from chat.payload import refused as refused_answer
from chat.storage import database, journal
from chat.text import markdown
from chat.web import static_files
from chat.web.middleware import REFUSAL

LABEL_RULE = (
    "The name of a room has 1 to 50 letters, digits, hyphens and underscores, and nothing else. "
    "A few words, like about, help and login, are reserved."
)
RESERVED = {
    "about",
    "admin",
    "api",
    "export",
    "files",
    "healthz",
    "help",
    "host",
    "login",
    "metrics",
    "new",
    "privacy",
    "readyz",
    "rooms",
    "security",
    "settings",
    "static",
    "version",
}
NOT_RESERVED = rf"(?!(?i:{'|'.join(sorted(RESERVED))})\Z)"
PROBES = ("/healthz", "/readyz")
READY_TIMEOUT_SECONDS = 2.0  # the longest that /readyz waits for the database, under eventlet
CSRF_MESSAGE = "This page could not tell that it was you. Please send it once more; it needs the cookie of this site."
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self' {sockets}; "
    "manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
PAGES = {
    404: ("There is no such page", LABEL_RULE),
    408: (
        "The message did not arrive",
        "The connection was too slow or broke off. Please send the message again.",
    ),
    413: ("The message is too large", "Go back, shorten the message, and send it again."),
    415: (
        "Files cannot be sent",
        "Confab takes text only. Go back, and send the message without a file.",
    ),
    500: ("Something went wrong here", "It is our fault, and it is in the log. Please try again."),
}

blueprint = Blueprint("pages", __name__)


@blueprint.before_app_request
def refuse_body() -> None:
    """Raise the reason why the body of a request was refused; its error page is the answer."""
    if (refusal := request.environ.get(REFUSAL)) is not None:
        raise refusal


class LabelConverter(BaseConverter):
    """The labels of rooms in URLs: letters, digits, underscore and hyphen, at most fifty. Case matters.

    Reserved words, in any case, do not match.
    """

    regex = NOT_RESERVED + "[A-Za-z0-9_-]{1,50}"


@blueprint.get("/")
def about() -> str | AnyResponse:
    """What Confab is, and the ways into a room."""
    wanted = request.args.get("room", "").strip()
    if is_label(wanted):
        return redirect(url_for("pages.room", label=wanted))
    return render_template("about.html", refused=wanted and LABEL_RULE)


@blueprint.route("/new/", methods=["GET", "POST"])
def new() -> AnyResponse:
    """Make a room with a name nobody has, and go there."""
    for length in (4, 4, 4, 4, 4, 5, 6, 8, 10, 12):  # five draws, then longer numbers
        made = journal.make_room(Haikunator().haikunate(token_length=length))
        if made is not None:
            return redirect(url_for("pages.room", label=made.label), 303)
    raise Busy


@blueprint.get("/<label:label>/")
def room(label: str) -> AnyResponse:
    """A room, made by whoever comes first, with what was said there last; or a page further back."""
    return _render_room(_get_or_create_room(label), {})


@blueprint.post("/<label:label>/")
def post_message(label: str) -> AnyResponse:
    """Say something without scripts. What is refused is shown again, with the reason."""
    if request.files:
        abort(415)
    here = _get_or_create_room(label)
    given = {key: request.form.get(key, "") for key in ("handle", "message", "id")}
    try:
        if not is_valid_csrf_token(request.form.get("csrf", "")):
            raise BadRequest(CSRF_MESSAGE)
        said = journal.post(here, author(), wire.Chat.parse(given)).message
    except Refusal as refusal:
        if (
            not refusal.retry
        ):  # else it may have been stored all the same: the same id makes it one message
            del given["id"]
        return _render_room(here, given | {"refused": str(refusal)}, refusal.status)
    session["handle"] = given["handle"]
    return redirect(url_for("pages.room", label=label, _anchor=f"m-{said.seq}"), 303)


@blueprint.get("/<label:label>/qr.svg")
def qr(label: str) -> AnyResponse:
    """The address of a room for the camera of a telephone. It makes no room."""
    kept = {"Cache-Control": "private, max-age=86400"}  # who has the address has the room
    return Response(
        _qr(url_for("pages.room", label=label, _external=True)),
        headers=kept,
        mimetype="image/svg+xml",
    )


@lru_cache(maxsize=1_000)
def _qr(address: str) -> bytes:
    drawn = io.BytesIO()
    code = segno.make_qr(address, error="m")
    code.save(
        drawn, kind="svg", border=4, light="white", omitsize=True, svgclass=None, lineclass=None
    )
    return drawn.getvalue()


def _get_or_create_room(label: str) -> Room:
    author()  # the page sets the cookie by which the socket knows its person
    return journal.get_or_create_room(label)


def _render_room(here: Room, form: wire.JSON, status: int = 200) -> Response:
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
        earlier=further(before=listed.messages[0].seq)
        if listed.older and listed.messages
        else None,
        later=further(after=listed.messages[-1].seq) if listed.newer and listed.messages else None,
        form={"csrf": csrf_token()} | empty | form,
        transports=current_app.config["CONFAB"].offered(),
    )
    return Response(text, status, {"Cache-Control": "no-store"})


def _requested_page(room: Room) -> Page | None:
    """The page that `?before=` or `?after=` asks for, or None: links get cut off, and an empty page helps nobody."""
    given = {
        key: request.args.get(key, type=int) for key in ("before", "after") if key in request.args
    }
    if not given:
        return None
    try:
        asked = wire.History.parse(given)
    except BadRequest:
        return None
    found = room.history(current_app.config["CONFAB"].page, asked.before, asked.after)
    return found if found.messages else None


@blueprint.get("/healthz")
def healthz() -> AnyResponse:
    """Whether this process answers; the database is not asked."""
    return _probe_answer(wire.ok(), 200)


@blueprint.get("/readyz")
def readyz() -> AnyResponse:
    """Whether this process can store messages. Raises Draining, Busy."""
    if engine.is_draining():
        raise Draining
    try:
        with engine.patience(READY_TIMEOUT_SECONDS):
            database.check_writable()
    except TimeoutError:
        raise Busy("Nothing can be stored: the database does not answer.") from None
    return _probe_answer(wire.ok(), 200)


def _probe_answer(answer: wire.JSON, status: int) -> Response:
    response = jsonify(answer)
    response.status_code = status
    response.cache_control.no_store = True
    return response


def _is_probe() -> bool:
    return request.path.rstrip("/") in PROBES


@blueprint.get("/static/<version>/<path:filename>")
def static(version: str, filename: str) -> AnyResponse:
    """A file the pages need. Its address names the version, so it may be kept for ever."""
    if filename not in static_files.files():
        abort(404)
    how = (
        None
        if filename.endswith(static_files.PICTURES)
        else static_files.encoding(request.accept_encodings)
    )
    response = _encoded(
        Response(static_files.packed(filename, how), mimetype=static_files.kind(filename)), how
    )
    is_now = (
        version == static_files.version()
    )  # a page of another release may ask: then the file is not for keeping
    response.cache_control.max_age = 365 * 24 * 3600 if is_now else 0
    response.cache_control.public = response.cache_control.immutable = is_now
    return response


@blueprint.app_template_global()
def asset(filename: str) -> str:
    """The address of a file below static/, of the version that is there now."""
    return url_for("pages.static", version=static_files.version(), filename=filename)


blueprint.add_app_template_filter(markdown.html, "markdown")
blueprint.add_app_template_test(markdown.only_pictures, "large")


def is_label(text: str) -> bool:
    """Whether a room may have this label."""
    return re.fullmatch(LabelConverter.regex, text) is not None


@blueprint.after_app_request
def add_security_headers(response: Response) -> Response:
    """Every page: made of our own files only, in nobody's frame, in no search engine, its address told to nobody."""
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    if request.endpoint == "pages.static":
        return response  # half a hundred files are no pages, and each would carry what is more than itself
    sockets = f"ws://{request.host} wss://{request.host}"
    response.headers.setdefault("Content-Security-Policy", POLICY.format(sockets=sockets))
    response.headers.setdefault("Referrer-Policy", "same-origin")
    response.headers.setdefault("X-Robots-Tag", "noindex")
    return response


@blueprint.after_app_request
def compress(response: Response) -> Response:
    """Pages and drawings, compressed as well as can be done while somebody waits."""
    if (
        response.mimetype not in ("text/html", "image/svg+xml")
        or "Content-Encoding" in response.headers
    ):
        return response
    if how := static_files.encoding(request.accept_encodings):
        response.set_data(static_files.QUICK[how](response.get_data()))
    return _encoded(response, how)


def _encoded(response: Response, how: str | None) -> Response:
    response.vary.add("Accept-Encoding")
    if how:
        response.content_encoding = how
    return response


@blueprint.app_errorhandler(HTTPException)
def handle_http_error(error: HTTPException) -> AnyResponse | tuple[str, int]:
    """A page for what HTTP refuses; programs that ask for our health get JSON."""
    code = error.code or 500
    if _is_probe():
        return _refused_probe(error, code)
    title, text = PAGES.get(code, (error.name, error.description or ""))
    return render_template("error.html", code=code, title=title, text=text), code


def _refused_probe(error: HTTPException, code: int) -> AnyResponse:
    if code >= 500:
        refusal: Refusal = ServerError()
    elif code == 404:
        refusal = NotFound("There is no such page.")
    else:
        refusal = BadRequest(error.description)
    response = _probe_answer(refused_answer(refusal), code)
    if isinstance(error, MethodNotAllowed):
        response.allow.update(error.valid_methods or ())
    return response


@blueprint.app_errorhandler(Refusal)
def refused(error: Refusal) -> AnyResponse | tuple[str, int]:
    """A page for what Confab refuses; programs that ask for our health get JSON."""
    if _is_probe():
        return _probe_answer(refused_answer(error), error.status)
    return render_template(
        "error.html", code=error.status, title="Not now", text=str(error)
    ), error.status

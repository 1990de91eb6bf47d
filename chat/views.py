"""The pages' door: about, a new room, a room, the files they need, and the health check."""

import hashlib
import re
from functools import lru_cache
from pathlib import Path

from flask import (
    Blueprint,
    Response,
    abort,
    current_app,
    redirect,
    render_template,
    request,
    send_from_directory,
    url_for,
)
from haikunator import Haikunator
from werkzeug.exceptions import HTTPException
from werkzeug.routing import BaseConverter
from werkzeug.wrappers import Response as AnyResponse

from chat import database, journal, wire
from chat.errors import Busy, Refused
from chat.identity import author, you

LABEL = re.compile(r"[A-Za-z0-9_-]{1,50}")
A_LABEL = "The name of a room has 1 to 50 letters, digits, hyphens and underscores, and nothing else."
RESERVED = {"new", "about", "api", "static", "healthz", "readyz", "metrics", "admin"}
STATIC = Path(__file__).resolve().parent.parent / "static"
TOKEN_LENGTHS = (4, 4, 4, 4, 4, 5, 6, 8, 10, 12)  # five draws, then longer numbers
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self' {sockets}; "
    "manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)

pages = Blueprint("pages", __name__)


class LabelConverter(BaseConverter):
    """The labels of rooms in URLs: letters, digits, underscore and hyphen, at most fifty. Case matters."""

    regex = LABEL.pattern


@pages.get("/")
def about() -> str | AnyResponse:
    """What Confab is, and the ways into a room."""
    wanted = request.args.get("room", "").strip()
    if not wanted:
        return render_template("about.html")
    if is_label(wanted):
        return redirect(url_for("pages.room", label=wanted))
    return render_template("about.html", refused=A_LABEL, wanted=wanted)


@pages.route("/new/", methods=["GET", "POST"])
def new() -> AnyResponse:
    """Make a room with a name nobody has, and go there."""
    for length in TOKEN_LENGTHS:
        made = journal.make_room(Haikunator().haikunate(token_length=length))
        if made is not None:
            return redirect(url_for("pages.room", label=made.label), 303)
    raise Busy


@pages.get("/<label:label>/")
def room(label: str) -> AnyResponse:
    """A room, made by whoever comes first, with what was said there last."""
    if not is_label(label):
        abort(404)
    author()  # the page sets the cookie by which the socket knows its person
    here = journal.open_room(label)
    page = here.joined(after=None)
    shown = {**wire.joined(here, page), **you(here)}
    response = Response(
        render_template("room.html", room=here, page=shown, transports=current_app.config["CONFAB"].offered())
    )
    response.headers["Cache-Control"] = "no-store"
    return response


@pages.get("/healthz")
def healthz() -> wire.JSON:
    """Whether this process answers and its database does. Raises Busy."""
    database.ping()
    return wire.ok()


@pages.get("/static/<version>/<path:filename>")
def static(version: str, filename: str) -> AnyResponse:
    """A file the pages need. Its address names the version, so it may be kept for ever."""
    is_now = version == static_version()  # a page of another release may ask: then the file is not for keeping
    response = send_from_directory(STATIC, filename, max_age=365 * 24 * 3600 if is_now else 0)
    response.cache_control.public = response.cache_control.immutable = is_now
    return response


@pages.app_template_global()
def asset(filename: str) -> str:
    """The address of a file below static/, of the version that is there now."""
    return url_for("pages.static", version=static_version(), filename=filename)


@lru_cache
def static_version() -> str:
    """A name for the files below static/ as they were when this process first needed one."""
    digest = hashlib.sha256()
    for file in sorted(path for path in STATIC.rglob("*") if path.is_file()):
        digest.update(f"{file.relative_to(STATIC)}\0".encode() + file.read_bytes())
    return digest.hexdigest()[:12]


def is_label(text: str) -> bool:
    """Whether a room may have this label."""
    return LABEL.fullmatch(text) is not None and text.lower() not in RESERVED


@pages.after_app_request
def safely(response: Response) -> Response:
    """Every page: made of our own files only, in nobody's frame, in no search engine, its address told to nobody."""
    sockets = f"ws://{request.host} wss://{request.host}"
    response.headers.setdefault("Content-Security-Policy", POLICY.format(sockets=sockets))
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    response.headers.setdefault("Referrer-Policy", "same-origin")
    response.headers.setdefault("X-Robots-Tag", "noindex")
    return response


@pages.app_errorhandler(HTTPException)
def not_so(error: HTTPException) -> AnyResponse | tuple[str, int]:
    """A page for what HTTP refuses. Redirects are no errors."""
    if error.code is None or error.code < 400:
        return error.get_response()
    title, text = PAGES.get(error.code, (error.name, error.description or ""))
    return render_template("error.html", code=error.code, title=title, text=text), error.code


@pages.app_errorhandler(Refused)
def refused(error: Refused) -> tuple[str, int]:
    """A page for what Confab refuses."""
    return render_template("error.html", code=error.status, title="Not now", text=str(error)), error.status


PAGES = {
    404: (
        "There is no such page",
        "The name of a room has 1 to 50 letters, digits, hyphens and underscores, and nothing else.",
    ),
    500: ("Something went wrong here", "It is our fault, and it is in the log. Please try again."),
}

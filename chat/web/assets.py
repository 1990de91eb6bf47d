"""Serves the static files. Their address names their version, so browsers keep them for a year."""

from flask import Blueprint, Response, abort, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from chat.web import static_files
from chat.web.preload import preload_scripts
from chat.web.responses import set_content_coding

YEAR_SECONDS = 365 * 24 * 3600

blueprint = Blueprint("assets", __name__)


@blueprint.get("/static/<version>/<path:filename>")
def static(version: str, filename: str) -> AnyResponse:
    """Send a file. One that a page of another release asks for is not cached."""
    if filename not in static_files.static_files():
        abort(404)
    coding = static_files.content_coding(filename, request.accept_encodings)
    response = Response(
        static_files.compressed(filename, coding), mimetype=static_files.media_type(filename)
    )
    set_content_coding(response, coding)
    is_current = version == static_files.version()
    response.cache_control.max_age = YEAR_SECONDS if is_current else 0
    response.cache_control.public = is_current
    response.cache_control.immutable = is_current
    return response


blueprint.add_app_template_global(preload_scripts)


@blueprint.app_template_global()
def asset(filename: str) -> str:
    """Return the address of a file below static/, in its current version."""
    return url_for("assets.static", version=static_files.version(), filename=filename)

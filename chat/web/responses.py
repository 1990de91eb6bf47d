"""What every response gets: security headers, compression, and a page for errors."""

from http import HTTPStatus

from flask import Flask, Response, render_template, request
from werkzeug.datastructures import Headers
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as AnyResponse

from chat.errors import Forbidden, Refusal
from chat.web import health, static_files
from chat.web.addresses import parse_address
from chat.web.forms import json_refusal, wants_json
from chat.web.labels import LABEL_RULE
from chat.web.middleware import REFUSAL_KEY
from chat.web.refusal_pages import is_about_entering, room_refusal_page
from chat.web.retry_after import retry_after_headers
from chat.web.static_files import FAST, best_coding

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
ERROR_PAGES = {
    404: ("Page not found", LABEL_RULE),
    408: (
        "The message did not arrive",
        "The connection was too slow or was interrupted. Please send the message again.",
    ),
    413: ("The message is too large", "Go back, shorten the message, and send it again."),
    415: (
        "Files cannot be sent",
        "Confab takes text only. Go back, and send the message without a file.",
    ),
    500: ("Something went wrong", "The error has been logged. Please try again."),
}
"""Title and text of the page, by HTTP status."""

COMPRESSED_TYPES = ("text/html", "image/svg+xml")

STRICT_TRANSPORT_SECURITY = "max-age=31536000"
"""For a year, browsers use https only. Other hosts of the domain are not ours to decide about."""


def init_app(app: Flask) -> None:
    """Apply security headers, compression and error pages to all responses of the app."""
    app.before_request(raise_body_refusal)
    app.after_request(make_redirect_relative)
    app.after_request(add_security_headers)
    app.after_request(compress)
    app.register_error_handler(HTTPException, handle_http_error)
    app.register_error_handler(Refusal, handle_refusal)


def raise_body_refusal() -> None:
    """Raise the error with which BodyLimit refused the body of this request, to show its page."""
    refusal: HTTPException | None = request.environ.get(REFUSAL_KEY)
    if refusal is not None:
        raise refusal


def make_redirect_relative(response: Response) -> Response:
    """Remove the scheme and host of a redirect to our own pages: a proxy may have changed both."""
    own_address = request.host_url.removesuffix("/")
    if response.location and response.location.startswith(f"{own_address}/"):
        response.location = response.location.removeprefix(own_address)
    return response


def add_security_headers(response: Response) -> Response:
    """Allow only our own files, no frames, no search engines; and no referrer to other sites.

    Errors are not cached: they may have gone at the next request. Redirects are not, because they
    depend on headers of the proxy.
    """
    headers = response.headers
    headers.setdefault("X-Content-Type-Options", "nosniff")
    if response.status_code >= HTTPStatus.MULTIPLE_CHOICES:
        headers.setdefault("Cache-Control", "no-store")
    _add_https_headers(headers)
    if request.endpoint == static_files.ENDPOINT:
        return response  # not a page
    headers.setdefault("Content-Security-Policy", CONTENT_SECURITY_POLICY)
    headers.setdefault("Referrer-Policy", "same-origin")
    headers.setdefault("X-Robots-Tag", "noindex")
    return response


def _add_https_headers(headers: Headers) -> None:
    """Add the headers that depend on how the browser reaches us.

    Strict-Transport-Security is not for loopback: it would apply to all ports, and so to whatever
    else a developer serves there. Below a path, the host has other sites, for which we do not
    decide. Browsers ignore Cross-Origin-Opener-Policy, with a warning, where the connection is not
    secure.
    """
    address = parse_address(request.host)
    is_loopback = address is not None and address.is_loopback
    if request.is_secure and not is_loopback and not request.script_root:
        headers.setdefault("Strict-Transport-Security", STRICT_TRANSPORT_SECURITY)
    if request.is_secure or is_loopback:
        headers.setdefault("Cross-Origin-Opener-Policy", "same-origin")


def compress(response: Response) -> Response:
    """Compress pages and drawings, fast."""
    is_encoded = "Content-Encoding" in response.headers
    if is_encoded or response.mimetype not in COMPRESSED_TYPES:
        return response
    coding = best_coding(request.accept_encodings)
    if coding is not None:
        response.set_data(FAST[coding](response.get_data()))
    return set_content_coding(response, coding)


def set_content_coding(response: Response, coding: str | None) -> Response:
    """Set the headers that describe the content coding of a response; None for no coding."""
    response.vary.add("Accept-Encoding")
    if coding is not None:
        response.content_encoding = coding
    return response


def handle_http_error(error: HTTPException) -> AnyResponse | tuple[str, int]:
    """Show a page for an HTTP error; health checks get JSON."""
    if health.is_health_check():
        return health.http_error_response(error)
    code = error.code or 500
    title, text = ERROR_PAGES.get(code, (error.name, error.description or ""))
    return render_template("error.html", code=code, title=title, text=text), code


def _room_of_forbidden_page(refusal: Refusal) -> str | None:
    """Return the label of the room to which a page leads back that only its hosts may see."""
    if not isinstance(refusal, Forbidden):
        return None
    return (request.view_args or {}).get("label")


def handle_refusal(refusal: Refusal) -> AnyResponse | tuple[str, int, dict[str, str]]:
    """Show a page for a refusal; health checks and scripts that prefer it get JSON."""
    if health.is_health_check():
        return health.refusal_response(refusal)
    if wants_json():
        return json_refusal(refusal)
    if is_about_entering(refusal):
        return room_refusal_page(refusal)
    title = "Please try again later" if refusal.retry else "That did not work"
    page = render_template(
        "error.html",
        code=refusal.status,
        title=title,
        text=str(refusal),
        room_label=_room_of_forbidden_page(refusal),
    )
    return page, refusal.status, retry_after_headers(refusal)

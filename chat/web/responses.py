"""What every response gets: security headers, compression, and a page for errors."""

from flask import Flask, Response, render_template, request
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as AnyResponse

from chat.errors import Refusal
from chat.web import health
from chat.web.labels import LABEL_RULE
from chat.web.middleware import REFUSAL_KEY
from chat.web.static_files import FAST, best_coding

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self' {sockets}; manifest-src 'self'; base-uri 'none'; form-action 'self'; "
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
STATIC_ENDPOINT = "assets.static"


def init_app(app: Flask) -> None:
    """Apply security headers, compression and error pages to all responses of the app."""
    app.before_request(raise_body_refusal)
    app.after_request(add_security_headers)
    app.after_request(compress)
    app.register_error_handler(HTTPException, handle_http_error)
    app.register_error_handler(Refusal, handle_refusal)


def raise_body_refusal() -> None:
    """Raise the error with which BodyLimit refused the body of this request, to show its page."""
    refusal: HTTPException | None = request.environ.get(REFUSAL_KEY)
    if refusal is not None:
        raise refusal


def add_security_headers(response: Response) -> Response:
    """Allow only our own files, no frames, no search engines; and no referrer to other sites."""
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    if request.endpoint == STATIC_ENDPOINT:
        return response  # not a page
    sockets = f"ws://{request.host} wss://{request.host}"
    policy = CONTENT_SECURITY_POLICY.format(sockets=sockets)
    response.headers.setdefault("Content-Security-Policy", policy)
    response.headers.setdefault("Referrer-Policy", "same-origin")
    response.headers.setdefault("X-Robots-Tag", "noindex")
    return response


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


def handle_refusal(refusal: Refusal) -> AnyResponse | tuple[str, int]:
    """Show a page for a refusal; health checks get JSON."""
    if health.is_health_check():
        return health.refusal_response(refusal)
    title = "Please try again later" if refusal.retry else "That did not work"
    page = render_template("error.html", code=refusal.status, title=title, text=str(refusal))
    return page, refusal.status

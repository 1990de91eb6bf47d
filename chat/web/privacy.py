"""The privacy page, and the form that deletes the cookie of a browser."""

import re

from flask import Blueprint, Response, redirect, render_template, request, session, url_for
from werkzeug.wrappers import Response as AnyResponse

from chat.current_config import current_config
from chat.identity import csrf_token
from chat.storage.retention import LOG_DAYS, REPORT_DAYS
from chat.text.links import ADDRESS, trim_address
from chat.web.forms import check_csrf_token
from chat.web.sessions import cookie_name

EMAIL_ADDRESS = r"[^@\s:/<>,;()]+@[^@\s:/<>,;()]+\.[A-Za-z]{2,}"
CONTACT = re.compile(rf"(?P<url>{ADDRESS})|(?P<email>{EMAIL_ADDRESS})")

blueprint = Blueprint("privacy", __name__)


@blueprint.get("/privacy")
def show() -> Response:
    """Show what this server stores, for how long, and who runs it."""
    is_known = "author" in session  # without one, there is nothing to forget
    text = render_template(
        "privacy.html",
        operator=link_contacts(current_config().operator or ""),
        cookie_days=current_config().cookie_seconds // (24 * 3600),
        cookie=cookie_name(request),
        log_days=LOG_DAYS,
        report_days=REPORT_DAYS,
        csrf=csrf_token() if is_known else "",
    )
    return Response(text, headers={"Cache-Control": "no-store"})


@blueprint.post("/privacy/forget")
def forget() -> AnyResponse:
    """Delete the cookie of this browser: its next visit gets a new identity.

    A form is answered with a redirect, and a script that prefers a minimal answer with 204.
    """
    check_csrf_token()
    session.clear()
    if request.headers.get("Prefer") == "return=minimal":  # RFC 7240
        return Response(status=204)
    return redirect(url_for("pages.about"), 303)


def link_contacts(text: str) -> list[tuple[str, str]]:
    """Split a text into parts, each with the URL that it links to, or with an empty text."""
    parts = []
    end = 0
    for found in CONTACT.finditer(text):
        contact = found[0] if found["email"] else trim_address(found[0])
        parts.append((text[end : found.start()], ""))
        parts.append((contact, f"mailto:{contact}" if found["email"] else contact))
        end = found.start() + len(contact)
    return [*parts, (text[end:], "")]

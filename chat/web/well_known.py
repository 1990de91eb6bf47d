"""Files that programs look for at a fixed address: robots.txt and security.txt."""

from datetime import UTC, datetime, timedelta

from flask import Blueprint, Response, abort

from chat.current_config import current_config

ROBOTS = """User-agent: *
Allow: /$
Disallow: /
"""
"""Crawlers may read the home page only (RFC 9309): visiting any other address creates a room."""

SECURITY_TXT_LIFETIME = timedelta(days=180)
"""RFC 9116 recommends less than a year."""

blueprint = Blueprint("well_known", __name__)


@blueprint.get("/robots.txt")
def robots() -> Response:
    """Ask crawlers to stay out of the rooms."""
    return _text(ROBOTS)


@blueprint.get("/.well-known/security.txt")
def security_txt() -> Response:
    """Name the contact for security reports (RFC 9116), if the operator has set one."""
    contact = current_config().security_contact
    if contact is None:
        abort(404)
    expires = datetime.now(UTC).replace(microsecond=0) + SECURITY_TXT_LIFETIME
    return _text(f"Contact: {contact}\nExpires: {expires.isoformat()}\n")


def _text(text: str) -> Response:
    return Response(text, headers={"Cache-Control": "max-age=86400"}, mimetype="text/plain")

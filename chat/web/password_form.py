"""Takes the password of a room from a form or a script."""

from flask import Blueprint, Response, redirect, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from chat.errors import Empty
from chat.identity import remember_room
from chat.membership import check_access
from chat.web.forms import check_csrf_token, wants_json
from chat.web.room_lookup import find_existing_room

blueprint = Blueprint("password", __name__)


@blueprint.get("/<label:label>/password")
def show(label: str) -> AnyResponse:
    """Go to the room, which asks for its password; for those who reload a refused form."""
    return redirect(url_for("pages.room", label=label), 303)


@blueprint.post("/<label:label>/password")
def post(label: str) -> AnyResponse:
    """Check the password of a room, and remember in the cookie that this person knows it.

    A form is answered with a redirect to the room, and a script with 204. Raises what
    `give_password` raises.
    """
    give_password(label)
    if wants_json():
        return Response(status=204)
    return redirect(url_for("pages.room", label=label), 303)


def give_password(label: str) -> None:
    """Check the password in the form of this request, and remember it.

    Raises Empty, NotFound and what check_access raises.
    """
    check_csrf_token()
    password = request.form.get("password", "")
    if not password.strip():
        raise Empty("Please type the password.")
    check_access(find_existing_room(label), password)
    remember_room(label)

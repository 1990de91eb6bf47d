"""Applies the rate limits to the events of a connection.

What they need to know is kept in the session of the socket, which lives as long as the connection.
"""

from typing import Any

from flask import request, session

from chat.connection_limits import OpenConnections
from chat.errors import TooManyConnections
from chat.identity import author
from chat.limits import Limits, Requester, text_to_store
from chat.web.client_address import client_address


def prepare(limits: Limits, *, is_known: bool) -> None:
    """Prepare a new connection; `is_known`: its identity has been used before.

    A client can leave the namespace and connect again on the same transport, whose session is kept.
    That takes the token of a handshake, because there is none. Raises RateLimited.
    """
    is_repeated = "requester" in session
    session["requester"] = limits.requester(author(), client_address())
    session["may_rejoin"] = is_known and not is_repeated
    if is_repeated:
        limits.take("address_handshakes", requester().address)


def count_connection(limits: Limits, connections: OpenConnections) -> None:
    """Count the current connection as one of its person. Raises TooManyConnections."""
    if not limits.is_enabled:
        return
    person = requester().person
    if connections.is_full(person):
        raise TooManyConnections
    connections.add(person, request.sid)  # type: ignore[attr-defined]  # set by Flask-SocketIO


def check(limits: Limits, event: str, data: Any) -> None:
    """Take the tokens of an event. Raises RateLimited.

    An event that will be refused because the connection is in no room takes those of a `leave`:
    clients send it again when they have joined.
    """
    if event == "join":
        may_rejoin = session.pop("may_rejoin", False)
        if may_rejoin and _is_rejoin(data):
            return
    elif "room" not in session:
        limits.take_event("leave", requester())
        return
    limits.take_event(event, requester(), text_to_store(data))


def requester() -> Requester:
    """Return whose tokens the events of the current connection take."""
    known: Requester = session["requester"]
    return known


def _is_rejoin(data: Any) -> bool:
    """Return whether a `join` continues an earlier connection, as after an outage of the server.

    A whole class may do that at once. It costs nothing, but once for each connection, so that the
    limit of handshakes bounds it.
    """
    return isinstance(data, dict) and type(data.get("after")) is int

"""Installs the fast WebSocket path if the libraries are the versions that it was written for.

It depends on functions of the libraries that are not part of their public interface. Each of them
is listed with a fingerprint of its source. If one has changed, the libraries' own path is used.
"""

import logging
import sys
from hashlib import sha256
from inspect import getsource
from operator import attrgetter
from typing import Any

from chat.engine.concurrency import async_mode

FINGERPRINT_DIGITS = 8

FINGERPRINTS = {  # the first digits of the SHA-256 of their source
    "socketio.manager:Manager.emit": "566510ea",
    "engineio.server:Server._handle_connect": "049f7c2b",
    "engineio.server:Server.handle_request": "79302edd",
    "engineio.server:Server._service_task": "9492b7b0",
    "engineio.socket:Socket._send_ping": "21861287",
    "engineio.socket:Socket.close": "05fac558",
    "engineio.socket:Socket.handle_get_request": "d45c0d8f",
    "engineio.socket:Socket.poll": "d7d70506",
    "engineio.socket:Socket.schedule_ping": "fe316639",
    "eventlet.hubs.hub:BaseHub.add": "5aa4447a",
    "eventlet.hubs.hub:BaseHub.remove": "7af6377b",
    "eventlet.hubs.hub:BaseHub.schedule_call_global": "b2a6d887",
    "eventlet.hubs.poll:Hub.wait": "691d0eca",
    "eventlet.hubs.epolls:Hub.add": "af3a4a22",
}

log = logging.getLogger(__name__)


def install(socketio: Any) -> None:
    """Replace the WebSocket of a Flask-SocketIO server by our own, under eventlet."""
    if async_mode() != "eventlet":
        return
    changed = [name for name, known in FINGERPRINTS.items() if fingerprint(name) != known]
    if changed:
        log.warning(
            "Everything works, but slower: the fast WebSocket path is off, because these functions "
            "have changed: %s.",
            ", ".join(changed),
        )
        return
    # Imported here: it needs eventlet, which other servers do without.
    from chat.engine.websocket import replace_websocket  # noqa: PLC0415

    replace_websocket(socketio.server)


def fingerprint(name: str) -> str:
    """Return the first digits of the hash of a function's source, or "" if it is not found.

    `name` is a loaded module and a path in it, as in `package.module:Class.method`.
    """
    module, _, path = name.partition(":")
    try:
        source = getsource(attrgetter(path)(sys.modules[module]))
    except (KeyError, AttributeError, OSError, TypeError):
        return ""
    return sha256(source.encode()).hexdigest()[:FINGERPRINT_DIGITS]

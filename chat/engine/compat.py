"""The private parts of the libraries that our own WebSocket leans on; where one is not what it was, we do without."""

import logging
import sys
from hashlib import sha256
from inspect import getsource
from operator import attrgetter
from typing import Any

from chat.engine.scheduler import async_mode

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
    "gunicorn.workers.base_async:AsyncWorker.handle_request": "28b6e070",
    "gunicorn.workers.geventlet:EventletWorker.is_already_handled": "4f150a03",
}

log = logging.getLogger(__name__)


def install(socketio: Any) -> None:
    """Under eventlet, speak WebSocket ourselves: what goes to a room is then written once."""
    if async_mode() != "eventlet":
        return
    if changed := [name for name, known in FINGERPRINTS.items() if fingerprint(name) != known]:
        log.warning(
            "Everything works, but slower: %s is not what Confab's engine was made for.",
            ", ".join(changed),
        )
        return
    from chat.engine.websocket import take_over  # noqa: PLC0415  # it needs eventlet, which need not be there

    take_over(socketio.server)


def fingerprint(name: str) -> str:
    """What tells one version of a function from another; empty when there is none."""
    module, _, path = name.partition(":")
    try:
        return sha256(getsource(attrgetter(path)(sys.modules[module])).encode()).hexdigest()[:8]
    except (KeyError, AttributeError, OSError, TypeError):
        return ""

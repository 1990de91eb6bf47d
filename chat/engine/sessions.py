"""Reports when an Engine.IO session begins and ends, whatever its transport."""

from collections.abc import Callable
from typing import Any


def observe_sessions(
    socketio: Any, opened: Callable[[str, dict[str, Any]], None], closed: Callable[[str], None]
) -> None:
    """Call `opened` with the id and the environ of each session, and `closed` with its id."""
    eio = socketio.server.eio
    handle_connect = eio.handlers["connect"]
    handle_disconnect = eio.handlers["disconnect"]

    def on_connect(sid: str, environ: dict[str, Any]) -> Any:
        opened(sid, environ)
        return handle_connect(sid, environ)

    def on_disconnect(sid: str, reason: str) -> Any:
        closed(sid)
        return handle_disconnect(sid, reason)

    eio.on("connect", on_connect)
    eio.on("disconnect", on_disconnect)

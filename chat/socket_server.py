"""The parts of Flask-SocketIO's `SocketIO` that the program uses, typed.

The published stubs lack some attributes and take whole seconds only.
"""

from collections.abc import Callable
from typing import Any, Protocol


class SocketServer(Protocol):
    """The Socket.IO server of one app."""

    @property
    def server(self) -> Any:
        """The python-socketio server, which ships no types."""

    def emit(self, event: str, data: dict[str, Any], **options: Any) -> None:
        """Send an event; `to` names the Socket.IO room, `skip_sid` connections to leave out."""

    def on_event(self, message: str, handler: Callable[..., Any]) -> None:
        """Call `handler` for an event."""

    def sleep(self, seconds: float) -> None:
        """Pause this thread or greenlet."""

    def start_background_task(self, target: Callable[..., Any], *args: Any) -> Any:
        """Run `target` in a thread or greenlet of the async mode."""

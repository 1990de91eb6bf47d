"""Observers of Engine.IO sessions, whatever their transport."""

from typing import Protocol

from chat.engine.environ import Environ


class SessionObserver(Protocol):
    """Is told about the sessions of Engine.IO, by their ids."""

    def on_session_opened(self, sid: str, environ: Environ) -> None:
        """Note a new session, before anything else of it is handled."""

    def on_namespace_left(self, sid: str) -> None:
        """Note that a client has ended its connection to Socket.IO and kept its session."""

    def on_session_closed(self, sid: str) -> None:
        """Note that a session has ended."""

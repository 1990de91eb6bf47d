"""WSGI middleware that lets the requests of different client addresses take turns."""

from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from chat.engine import ADDRESS_KEY, wait_turn


class RequestTurns:
    """Passes on a request when it is the turn of its client address.

    So many pages at once from one address do not delay everybody else until all are rendered. The
    body must have been read already: waiting for it would lose the turn.
    """

    def __init__(self, app: WSGIApplication) -> None:
        self._app = app

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Handle a request."""
        wait_turn(environ.get(ADDRESS_KEY, ""))
        return self._app(environ, start_response)

"""WSGI middleware that limits how many requests of a client address are in progress at a time.

A request is in progress until its response has been sent or its connection is closed: while its
body arrives, while it waits for packets of a polling session, and while its client reads the
response. Without a limit, one address could occupy all connections of a worker.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import count
from weakref import finalize
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from chat.connection_limits import OpenConnections
from chat.engine import ADDRESS_KEY, close_after_response, was_handed_over
from chat.errors import TooManyConnections
from chat.limits import Limits
from chat.web.plain_refusals import refuse

REQUESTS_PER_CONNECTION = 2
"""A polling client may send a packet while it waits for some."""


class RequestLimit:
    """Answers a request with 503 while too many others of its client address are in progress."""

    def __init__(self, app: WSGIApplication, limits: Limits, max_connections: int) -> None:
        self._app = app
        self._limits = limits
        self._requests = OpenConnections(
            REQUESTS_PER_CONNECTION * max_connections, is_open=lambda _request: True
        )
        self._numbers = count()  # by which requests are known

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Handle a request."""
        key = self._limits.address_key(environ.get(ADDRESS_KEY))
        if key is None or not self._limits.is_enabled:
            return self._app(environ, start_response)
        if self._requests.is_full(key):
            refusal = TooManyConnections("Too many requests from your network are in progress.")
            # Its body has not been read.
            return close_after_response(environ, start_response, refuse(start_response, refusal))
        request = str(next(self._numbers))
        self._requests.add(key, request)
        end = partial(self._requests.remove, request)
        try:
            response = self._app(environ, start_response)
        except BaseException:
            end()
            raise
        if was_handed_over():
            end()
            return response
        return CountedResponse(response, end)


class CountedResponse:
    """A response that calls `end` when the server closes it, sent completely or not."""

    def __init__(self, response: Iterable[bytes], end: Callable[[], None]) -> None:
        self._response = response
        self._end = end
        # Werkzeug's server does not close a response when its client has reset the connection.
        finalize(self, end)

    def __iter__(self) -> Iterator[bytes]:
        """Return the parts of the response."""
        return iter(self._response)

    def close(self) -> None:
        """Close the response (PEP 3333). Nothing that fails here may keep the request counted."""
        try:
            if hasattr(self._response, "close"):
                self._response.close()
        finally:
            self._end()

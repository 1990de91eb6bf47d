"""The gunicorn worker class of Confab: eventlet's greenlets, one for each HTTP connection.

gunicorn 26 removed the class of this name. gunicorn.conf.py loads this file in gunicorn's master,
without the package `chat`: what the master has imported, new workers inherit after a HUP, even when
the files have changed. So whatever else the worker needs, it imports after the fork.
"""

from __future__ import annotations

import eventlet

# Before anything else is imported, so that all of it uses the patched modules. The hub is made
# after the fork, in `init_process`: its file descriptors cannot be inherited.
eventlet.monkey_patch()

from collections.abc import Iterator  # noqa: E402
from contextlib import contextmanager, suppress  # noqa: E402
from functools import partial  # noqa: E402
from typing import Any  # noqa: E402

import eventlet.wsgi  # noqa: E402
from eventlet import hubs  # noqa: E402
from eventlet.greenio import GreenSocket  # noqa: E402
from gunicorn.sock import ssl_wrap_socket  # type: ignore[import-untyped]  # noqa: E402  # it has no types
from gunicorn.workers.base_async import (  # type: ignore[import-untyped]  # noqa: E402  # likewise
    AsyncWorker,
)

NOTIFY_SECONDS = 1.0
"""How often the worker tells the master that it is alive."""

END_SECONDS = 3.5
"""How much less than gunicorn's graceful_timeout a worker waits for its connections.

It needs up to NOTIFY_SECONDS to notice that it has to stop, and the rest to stop its services.
"""

MIN_WAIT_SECONDS = 3.0
"""The shortest wait, unless graceful_timeout is shorter: all clients are disconnected in it."""

TLS_HANDSHAKE_SECONDS = 10.0
"""The longest that the TLS handshake of a connection may take."""


class EventletWorker(AsyncWorker):  # type: ignore[misc]  # gunicorn has no types
    """Serves each HTTP connection in a greenlet; a WebSocket is handed over to the engine."""

    def init_process(self) -> None:
        """Prepare the process after the fork; this returns when the worker has stopped."""
        hubs.use_hub()
        super().init_process()

    def run(self) -> None:
        """Accept connections until the worker is stopped, then wait for those that are open."""
        # After the fork, see above.
        from chat.engine.acceptor import Acceptor  # noqa: PLC0415
        from chat.engine.pending_requests import pending_requests  # noqa: PLC0415
        from chat.engine.tcp import plain_address  # noqa: PLC0415

        self._pending_requests = pending_requests
        self._plain_address = plain_address
        acceptors = []
        for server_socket in self.sockets:
            listener = GreenSocket(server_socket)
            listener.setblocking(True)
            handle = partial(self.handle, listener)
            acceptor = Acceptor(listener, handle, self.worker_connections)
            acceptors.append(eventlet.spawn(acceptor.run))
        eventlet.sleep(0)  # they have to run before they can be stopped
        while self.alive:
            self.notify()
            eventlet.sleep(NOTIFY_SECONDS)
        self.notify()
        self._stop(acceptors)

    def _stop(self, acceptors: list[Any]) -> None:
        """Stop accepting, and wait for the open connections, then leave time for the services."""
        graceful_seconds = self.cfg.graceful_timeout
        # A short graceful_timeout is for the connections; the services then end with the process.
        wait_seconds = max(graceful_seconds - END_SECONDS, min(graceful_seconds, MIN_WAIT_SECONDS))
        with eventlet.Timeout(wait_seconds, False):
            for acceptor in acceptors:
                acceptor.kill(eventlet.StopServe())
            for acceptor in acceptors:
                acceptor.wait()
        for acceptor in acceptors:
            acceptor.kill()  # unless it has ended

    def handle(self, listener: Any, client: Any, addr: Any) -> None:
        """Serve one connection until it is closed or handed over."""
        if self.cfg.is_ssl:
            client = ssl_wrap_socket(client, self.cfg)
        eventlet.getcurrent().client = client  # for `timeout_ctx`, which has no argument
        if self.cfg.is_ssl and not self._complete_handshake(client):
            client.close()
            return
        # gunicorn compares it with the addresses in FORWARDED_ALLOW_IPS.
        super().handle(listener, client, self._plain_address(addr))

    def _complete_handshake(self, client: Any) -> bool:
        """Return whether the TLS handshake has been completed in time."""
        waiting = self._pending_requests.waiting(client)
        with waiting, suppress(OSError), eventlet.Timeout(TLS_HANDSHAKE_SECONDS, False):
            client.do_handshake()
            return True
        return False

    @contextmanager
    def timeout_ctx(self) -> Iterator[None]:
        """Limit the time for the next request of a connection to arrive."""
        waiting = self._pending_requests.waiting(eventlet.getcurrent().client)
        with waiting, eventlet.Timeout(self.cfg.keepalive or None, False):
            yield

    def is_already_handled(self, respiter: Any) -> bool:
        """Return whether a request has been answered. Raises StopIteration at a WebSocket.

        The connection then belongs to the WebSocket, or has been closed with it.
        """
        if getattr(eventlet.wsgi.WSGI_LOCAL, "already_handled", False):
            raise StopIteration
        return bool(super().is_already_handled(respiter))

    def handle_quit(self, sig: Any, frame: Any) -> None:
        """Handle a signal in a greenlet, which may wait."""
        eventlet.spawn(super().handle_quit, sig, frame)

    def handle_usr1(self, sig: Any, frame: Any) -> None:
        """Likewise."""
        eventlet.spawn(super().handle_usr1, sig, frame)

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
from contextlib import contextmanager  # noqa: E402
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

        self._pending_requests = pending_requests
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
        """Stop accepting, and wait for the open connections as long as gunicorn allows."""
        with eventlet.Timeout(self.cfg.graceful_timeout, False):
            for acceptor in acceptors:
                acceptor.kill(eventlet.StopServe())
            for acceptor in acceptors:
                acceptor.wait()
        for acceptor in acceptors:
            acceptor.kill()  # unless it has ended

    def handle(self, listener: Any, client: Any, addr: Any) -> None:
        """Serve one connection until it is closed or handed over."""
        eventlet.getcurrent().client = client  # for `timeout_ctx`, which has no argument
        if self.cfg.is_ssl:
            client = ssl_wrap_socket(client, self.cfg)
        super().handle(listener, client, addr)

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

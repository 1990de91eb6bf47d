"""Limits Werkzeug's development server, which `flask run` starts and which has no limits itself."""

import ipaddress
import socket
from contextlib import ExitStack, suppress
from typing import cast

import click
from werkzeug import serving

from chat.engine.concurrency import async_mode, time_limit

UNIX_SOCKET = "unix://"
"""Begins the path of a Unix socket where `flask run` takes a host."""


class LimitedRequestHandler(serving.WSGIRequestHandler):
    """Handles a request whose request line and headers must arrive in `head_seconds`."""

    head_seconds: float

    def setup(self) -> None:
        """Start the time limit."""
        super().setup()
        self._head_limit = ExitStack()
        self._head_limit.enter_context(time_limit(self.head_seconds, self.connection))

    def run_wsgi(self) -> None:
        """Answer the request, whose head has arrived. Raises TimeoutError when it has not."""
        self._head_limit.close()
        super().run_wsgi()

    def finish(self) -> None:
        """End the time limit of a request that was malformed."""
        with suppress(TimeoutError):
            self._head_limit.close()
        super().finish()


def limit_dev_server(head_seconds: float) -> None:
    """Disconnect clients of the development server whose head takes longer than `head_seconds`.

    A later call only changes the limit: there is one development server in a process.
    """
    if async_mode() != "threading":
        return
    LimitedRequestHandler.head_seconds = head_seconds
    serving.WSGIRequestHandler = LimitedRequestHandler  # type: ignore[misc]  # make_server uses it


def is_dev_server() -> bool:
    """Return whether this process is `flask run`, and not another command of Flask."""
    context = click.get_current_context(silent=True)
    return context is not None and context.info_name == "run" and "host" in context.params


def public_dev_server() -> str | None:
    """Return the host of `flask run` if others than this machine can reach it, else None."""
    if not is_dev_server():
        return None
    host = cast(str, click.get_current_context().params["host"])
    return None if _is_loopback(host) else host


def _is_loopback(host: str) -> bool:
    """Return whether only this machine can reach a host. An unknown name counts as public."""
    if host.startswith(UNIX_SOCKET):
        return True
    try:
        found = socket.getaddrinfo(host, None)
    except OSError:
        return False
    return all(ipaddress.ip_address(each[4][0]).is_loopback for each in found)

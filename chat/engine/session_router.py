"""Routes the requests of an Engine.IO session to the worker of this host that has the session.

A session id begins with the id of its worker, so whichever worker accepts a request knows where it
belongs. A polling request is forwarded over a Unix socket, and so is its answer. With an upgrade to
WebSocket, the client's connection itself is handed over; this worker has then nothing to do with it
any more. Only a connection with TLS cannot be handed over: its bytes are copied in both directions.

Requests for sessions of other hosts are not routed here: the proxy in front of the hosts does it.
"""

import re
import socket
import ssl
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from chat.engine.body import close_after_response, connection_of
from chat.engine.byte_pump import pump
from chat.engine.early_bytes import take_early_bytes
from chat.engine.forwarded_requests import ForwardedRequests
from chat.engine.sending import end_without_response
from chat.engine.tcp import disconnect
from chat.engine.worker_channel import Head, MalformedMessage, WorkerChannel, forwarded_polls

NODE_CHARS = 7
"""The name of the host in a session id, padded with hyphens, of which there is at least one."""

WORKER_ID_CHARS = 10
"""The name of the host and of the worker's socket."""

SESSION_ID = re.compile("[A-Za-z0-9]{1,6}-{1,6}[0-9a-z]{3}[A-Za-z0-9_-]{20}")

ANSWER_MARGIN_SECONDS = 10.0
"""A worker answers a polling request after the ping interval and timeout at the latest."""

HANDOVER_SECONDS = 10.0

GONE = b"The session of this request has ended."


class SessionRouter:
    """WSGI middleware: passes on the requests of this worker's sessions, and forwards the others.

    `worker_socket` is where other workers reach this one; without it, nothing is forwarded. The
    requests that it passes on and forwards have been checked, and have their body in memory.
    """

    def __init__(
        self,
        app: WSGIApplication,
        eio: Any,
        socket_path: str,
        node_name: str,
        worker_socket: Path | None,
    ) -> None:
        self._app = app
        self._eio = eio
        self._socket_path = socket_path
        self._node = node_name.ljust(NODE_CHARS, "-")
        self._worker_socket = worker_socket
        self._answer_seconds = eio.ping_interval + eio.ping_timeout + ANSWER_MARGIN_SECONDS
        if worker_socket is not None:
            self._name_sessions(worker_socket)

    def start(self) -> None:
        """Begin to answer the requests that other workers forward."""
        if self._worker_socket is not None:
            ForwardedRequests(self._app, self._eio).listen(self._worker_socket)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Handle a request."""
        other_worker = self._other_worker(environ)
        if other_worker is None:
            return self._app(environ, start_response)
        if _is_websocket_handshake(environ):
            return self._hand_over(environ, start_response, other_worker)
        return self._forward(environ, start_response, other_worker)

    def _name_sessions(self, worker_socket: Path) -> None:
        """Have the ids of new sessions begin with the id of this worker."""
        worker_id = self._node + worker_socket.name
        generate_id = self._eio.generate_id

        def generate_named_id() -> str:
            return f"{worker_id}{generate_id()}"

        self._eio.generate_id = generate_named_id

    def _other_worker(self, environ: WSGIEnvironment) -> Path | None:
        """Return the socket of the worker that a request belongs to; None if it is this one.

        Also None if its session id is not one of this host: Engine.IO then refuses the request.
        """
        if self._worker_socket is None or not environ["PATH_INFO"].startswith(self._socket_path):
            return None
        sid = parse_qs(environ.get("QUERY_STRING", "")).get("sid", [""])[0]
        if sid in self._eio.sockets or SESSION_ID.fullmatch(sid) is None:
            return None
        name = sid[NODE_CHARS:WORKER_ID_CHARS]
        if sid[:NODE_CHARS] != self._node or name == self._worker_socket.name:
            return None
        return self._worker_socket.with_name(name)

    def _forward(
        self, environ: WSGIEnvironment, start_response: StartResponse, other_worker: Path
    ) -> Iterable[bytes]:
        """Answer a polling request with the answer of another worker."""
        body = environ["wsgi.input"].read()
        try:
            channel = WorkerChannel.open(other_worker)
        except OSError:
            return _refuse(start_response)
        try:
            channel.send(_variables(environ), body)
            if environ["REQUEST_METHOD"] == "GET":
                forwarded_polls.add(channel)
            try:
                head = channel.receive_head(self._answer_seconds)
            finally:
                forwarded_polls.discard(channel)
        except (OSError, MalformedMessage):
            channel.close()
            return _refuse(start_response)
        except BaseException:
            channel.close()
            raise
        return _answer(start_response, channel, head)

    def _hand_over(
        self, environ: WSGIEnvironment, start_response: StartResponse, other_worker: Path
    ) -> Iterable[bytes]:
        """Hand over the connection of a WebSocket handshake, or answer why this is not possible."""
        connection = connection_of(environ)
        if not isinstance(connection, ssl.SSLSocket):
            refusal = self._offer(environ, start_response, other_worker, connection)
        else:
            refusal = self._hand_over_with_tls(environ, start_response, other_worker, connection)
        if refusal is None:
            return end_without_response()
        return close_after_response(environ, start_response, refusal)

    def _hand_over_with_tls(
        self,
        environ: WSGIEnvironment,
        start_response: StartResponse,
        other_worker: Path,
        connection: ssl.SSLSocket,
    ) -> Iterable[bytes] | None:
        """Hand over one end of a socket pair, and copy the bytes of a connection with TLS to it.

        Returns when the connection has ended; or the answer, if the handover is not possible.
        """
        ours, passed = socket.socketpair()
        with closing(ours):
            with closing(passed):
                refusal = self._offer(environ, start_response, other_worker, passed)
            if refusal is None:
                pump(connection, ours)
        return refusal

    def _offer(
        self,
        environ: WSGIEnvironment,
        start_response: StartResponse,
        other_worker: Path,
        passed: Any,
    ) -> Iterable[bytes] | None:
        """Pass on a connection; return the answer if the other worker does not take it over."""
        early_bytes = take_early_bytes(start_response)
        try:
            channel = WorkerChannel.open(other_worker)
        except OSError:
            return _refuse(start_response)
        try:
            channel.send(_variables(environ), early_bytes, passed)
            head = _receive_reply(channel, passed)
        except (OSError, MalformedMessage):
            channel.close()
            return _refuse(start_response)
        except BaseException:
            channel.close()
            raise
        if "status" in head.fields:
            return _answer(start_response, channel, head)
        channel.close()
        return None


def _receive_reply(channel: WorkerChannel, passed: Any) -> Head:
    """Return the reply to a handshake. Raises OSError and MalformedMessage."""
    try:
        return channel.receive_head(HANDOVER_SECONDS)
    except OSError:
        # The other worker may have answered the handshake just before it ended, so that no other
        # answer may follow.
        disconnect(passed)
        raise


def _is_websocket_handshake(environ: WSGIEnvironment) -> bool:
    """Return whether a request, which has been checked, is an upgrade to WebSocket.

    A server has to ignore an upgrade to a protocol that it does not know (RFC 9110, section 7.8).
    """
    protocol: str = environ.get("HTTP_UPGRADE", "").lower()
    return environ["REQUEST_METHOD"] == "GET" and protocol == "websocket"


def _variables(environ: WSGIEnvironment) -> dict[str, str]:
    """Return what another worker needs of a request: its line, its headers, and what is known."""
    return {name: value for name, value in environ.items() if isinstance(value, str)}


def _answer(start_response: StartResponse, channel: WorkerChannel, head: Head) -> Iterator[bytes]:
    headers = [(str(name), str(value)) for name, value in head.fields["headers"]]
    start_response(head.fields["status"], headers)
    return _pieces(channel, head)


def _pieces(channel: WorkerChannel, head: Head) -> Iterator[bytes]:
    try:
        yield from channel.receive_pieces(head)
    finally:
        channel.close()


def _refuse(start_response: StartResponse) -> list[bytes]:
    """Answer with 400, like Engine.IO for an unknown session: the client then starts over."""
    headers = [("Content-Type", "text/plain"), ("Content-Length", str(len(GONE)))]
    start_response("400 Bad Request", headers)
    return [GONE]

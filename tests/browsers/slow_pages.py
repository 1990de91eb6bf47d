"""A proxy on this machine that delivers the first half of a page, and the rest later."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

CHUNK_BYTES = 65536


class SlowPages:
    """Forwards connections to a server, and pauses where an answer contains a marker."""

    def __init__(self, port: int, marker: bytes, pause_seconds: float) -> None:
        self._port = port
        self._marker = marker
        self._pause_seconds = pause_seconds
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._start(self._accept)

    def close(self) -> None:
        """Accept no further connections."""
        self._listener.close()

    @staticmethod
    def _start(work: Callable[..., None], *arguments: socket.socket) -> None:
        threading.Thread(target=work, args=arguments, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:  # closed
                return
            server = socket.create_connection(("127.0.0.1", self._port))
            self._start(self._forward_requests, client, server)
            self._start(self._forward_answers, server, client)

    @staticmethod
    def _forward_requests(client: socket.socket, server: socket.socket) -> None:
        for data in _received(client):
            # Not compressed, so that the marker can be found.
            server.sendall(data.replace(b"Accept-Encoding:", b"X-Not-Forwarded:"))
        server.close()

    def _forward_answers(self, server: socket.socket, client: socket.socket) -> None:
        for data in _received(server):
            first, marker, rest = data.partition(self._marker)
            client.sendall(first)
            if marker:
                time.sleep(self._pause_seconds)
                client.sendall(marker + rest)
        client.close()


@contextmanager
def slow_pages(port: int, marker: bytes, pause_seconds: float) -> Iterator[SlowPages]:
    """Run a proxy in front of the server on a port."""
    proxy = SlowPages(port, marker, pause_seconds)
    try:
        yield proxy
    finally:
        proxy.close()


def _received(connection: socket.socket) -> Iterator[bytes]:
    """Return what arrives until the connection is closed."""
    while True:
        try:
            data = connection.recv(CHUNK_BYTES)
        except OSError:
            return
        if not data:
            return
        yield data

"""A proxy on this machine that delivers the first half of a page, and the rest later."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

CHUNK_BYTES = 65536


class SlowPages:
    """Forwards connections to a server, and pauses where an answer contains a marker."""

    def __init__(self, port: int, marker: bytes, pause_seconds: float) -> None:
        self._port = port
        self._marker = marker
        self._pause_seconds = pause_seconds
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._connections: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._start(self._accept)

    def close(self) -> None:
        """End all connections, and wait for all threads."""
        self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        self._threads[0].join()
        for connection in self._connections:
            _shut_down(connection)
        for thread in self._threads:
            thread.join()
        for connection in (self._listener, *self._connections):
            connection.close()

    def _start(self, work: Callable[..., None], *arguments: socket.socket) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:  # the proxy is closed
                return
            self._connections.append(client)
            with suppress(OSError):  # the server has ended
                server = socket.create_connection(("127.0.0.1", self._port))
                self._connections.append(server)
                self._start(self._forward_requests, client, server)
                self._start(self._forward_answers, server, client)

    @staticmethod
    def _forward_requests(client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):  # one of the two has disconnected
            while data := client.recv(CHUNK_BYTES):
                # Not compressed, so that the marker can be found.
                server.sendall(data.replace(b"Accept-Encoding:", b"X-Not-Forwarded:"))
        _shut_down(server)

    def _forward_answers(self, server: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):  # likewise
            while data := server.recv(CHUNK_BYTES):
                first, marker, rest = data.partition(self._marker)
                client.sendall(first)
                if marker:
                    time.sleep(self._pause_seconds)
                    client.sendall(marker + rest)
        _shut_down(client)


def _shut_down(connection: socket.socket) -> None:
    """End a connection in both directions, which wakes a thread that reads from it."""
    with suppress(OSError):  # it has ended already
        connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def slow_pages(port: int, marker: bytes, pause_seconds: float) -> Iterator[SlowPages]:
    """Run a proxy in front of the server on a port."""
    proxy = SlowPages(port, marker, pause_seconds)
    try:
        yield proxy
    finally:
        proxy.close()

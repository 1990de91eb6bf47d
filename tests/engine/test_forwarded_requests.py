"""Requests that another worker forwards: how errors of the application and of clients end."""

import errno
import socket
from collections.abc import Iterable, Iterator
from wsgiref.types import StartResponse, WSGIEnvironment

import pytest
from engineio import Server

from chat.engine.forwarded_requests import ForwardedRequests
from chat.engine.handover import handover_of
from chat.engine.worker_channel import Head, WorkerChannel
from tests.conftest import Log

SECONDS = 5.0
POLL = {"REQUEST_METHOD": "GET", "QUERY_STRING": "sid=0", "PATH_INFO": "/socket.io/"}


class FailingApplication:
    """Raises an error, after it has taken over the connection if `takes_over`."""

    def __init__(self, error: Exception, *, takes_over: bool = False) -> None:
        self._error = error
        self._takes_over = takes_over

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Handle a request."""
        if self._takes_over:
            handover = handover_of(environ)
            assert handover
            handover.complete()
        raise self._error


class OtherWorker:
    """Forwards one request to an application of this process."""

    def __init__(self) -> None:
        theirs, self._ours = socket.socketpair()
        self._channel = WorkerChannel(theirs)
        self._client, self._passed = socket.socketpair()

    def close(self) -> None:
        """Close all connections."""
        self._channel.close()
        self._client.close()
        self._passed.close()

    def end(self) -> None:
        """Close the channel, as the end of the process does."""
        self._channel.close()

    def forward_poll(self, application: FailingApplication) -> None:
        """Forward a polling request; return when it has been handled."""
        self._channel.send(POLL, b"")
        self._handle(application)

    def hand_over(self, application: FailingApplication) -> None:
        """Hand over the connection of a client; return when it has ended."""
        self._channel.send(POLL, b"", self._passed)
        self._handle(application)

    def answer(self) -> Head:
        """Return the beginning of the answer."""
        return self._channel.receive_head(SECONDS)

    def _handle(self, application: FailingApplication) -> None:
        ForwardedRequests(application, Server(async_mode="threading")).handle(self._ours)


@pytest.fixture
def other_worker() -> Iterator[OtherWorker]:
    """A worker that forwards a request to this process."""
    made = OtherWorker()
    yield made
    made.close()


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "full"), ConnectionResetError(errno.ECONNRESET, "of Redis")]
)
def test_a_request_whose_application_fails_is_logged_and_answered_with_500(
    other_worker: OtherWorker, caplog: Log, error: Exception
) -> None:
    other_worker.forward_poll(FailingApplication(error))

    assert other_worker.answer().fields["status"] == "500 Internal Server Error"
    assert str(error) in caplog.text


def test_a_handshake_whose_application_fails_is_logged_and_answered_with_500(
    other_worker: OtherWorker, caplog: Log
) -> None:
    other_worker.hand_over(FailingApplication(OSError(errno.ENOSPC, "full")))

    assert other_worker.answer().fields["status"] == "500 Internal Server Error"
    assert "full" in caplog.text


def test_a_websocket_that_fails_after_its_handover_is_logged_and_not_answered(
    other_worker: OtherWorker, caplog: Log
) -> None:
    other_worker.hand_over(FailingApplication(OSError(errno.ENOSPC, "full"), takes_over=True))

    assert other_worker.answer().fields == {}, "the handover is complete"
    with pytest.raises(ConnectionResetError):
        other_worker.answer()
    assert "full" in caplog.text


@pytest.mark.parametrize("error", [TimeoutError(), BrokenPipeError(errno.EPIPE, "Broken pipe")])
def test_a_client_that_disconnects_after_its_handover_is_not_logged(
    other_worker: OtherWorker, caplog: Log, error: Exception
) -> None:
    other_worker.hand_over(FailingApplication(error, takes_over=True))

    assert caplog.records == []


def test_a_handover_to_which_the_other_worker_does_not_listen_is_not_logged(
    other_worker: OtherWorker, caplog: Log
) -> None:
    class Application(FailingApplication):
        def __call__(
            self, environ: WSGIEnvironment, start_response: StartResponse
        ) -> Iterable[bytes]:
            other_worker.end()
            return super().__call__(environ, start_response)

    other_worker.hand_over(Application(AssertionError("not reached"), takes_over=True))

    assert caplog.records == []

"""The gunicorn worker: its preparation, and what signals do to it."""

import os
import signal
import time
from pathlib import Path
from resource import RLIM_INFINITY

import pytest

from chat.engine.worker import file_limit, files_per_connection
from tests.clients import Stranger
from tests.servers import ConfabServer, gunicorn, wait_until
from tests.services import Postgres

GRACEFUL_SECONDS = 8
"""`graceful_timeout` in gunicorn.conf.py."""


@pytest.mark.parametrize(
    ("soft", "hard", "limit"),
    [
        (1024, 524_288, 524_288),
        (1024, 4096, 4096),
        (256, RLIM_INFINITY, 10_100),
        (20_000, RLIM_INFINITY, 20_000),
        (RLIM_INFINITY, RLIM_INFINITY, RLIM_INFINITY),
    ],
)
def test_the_limit_on_open_files_is_raised_but_never_to_infinity(
    soft: int, hard: int, limit: int
) -> None:
    assert file_limit(soft, hard, 10_100) == limit


@pytest.mark.parametrize(
    ("workers", "worker_socket", "files"), [(3, "/tmp/000", 3), (1, "/tmp/000", 1), (3, None, 1)]
)
def test_workers_that_forward_need_more_open_files(
    workers: int, worker_socket: str | None, files: int
) -> None:
    assert files_per_connection(workers, worker_socket) == files


def wait_for_workers(server: ConfabServer, number: int) -> None:
    """Wait until so many workers have been started in all."""
    wait_until(lambda: server.log().count("Booting worker") >= number, 15, f"{number} workers")


@pytest.mark.servers
def test_workers_that_are_replaced_at_once_end_without_an_error(tmp_path: Path) -> None:
    with gunicorn(tmp_path, workers=2) as server:
        for times in (2, 3, 4):
            os.kill(server.processes()[0], signal.SIGHUP)
            wait_for_workers(server, 2 * times)

        assert server.page("/healthz")
        assert "exited with code" not in server.log()


@pytest.mark.servers
@pytest.mark.slow
def test_a_worker_stops_in_time_while_the_database_does_not_answer(
    tmp_path: Path, postgres_server: Postgres
) -> None:
    with (
        gunicorn(tmp_path, DATABASE_URL=postgres_server.database()) as server,
        Stranger(server.url) as ada,
    ):
        server.room("kitchen")
        assert ada.ask("join", {"label": "kitchen"})["ok"]
        postgres_server.pause()
        try:
            ada.emit("chat", '{"handle": "Ada", "message": "Is anybody there?"}')
            # The message, and the reconciler and the clock, for each of which `stop` waits.
            wait_until(lambda: postgres_server.waiting_connections() >= 3, 30)
            assert server._started
            server._started.terminate()
            began_at = time.monotonic()

            assert server._started.wait(2 * GRACEFUL_SECONDS) == 0
            assert time.monotonic() - began_at < GRACEFUL_SECONDS, "gunicorn would have killed it"
        finally:
            postgres_server.go_on()


@pytest.mark.servers
def test_after_usr2_another_gunicorn_serves(tmp_path: Path) -> None:
    with gunicorn(tmp_path) as server:
        assert server._started
        os.kill(server._started.pid, signal.SIGUSR2)
        wait_for_workers(server, 2)

        server._started.terminate()
        assert server._started.wait(15) == 0

        wait_until(server.is_ready, what="the other one serves")

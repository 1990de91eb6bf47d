"""The delivery promise during faults: acknowledged messages are stored, and received once in order.

Here Redis, PostgreSQL, workers, file descriptors and the disk fail. More faults are in
tests/torture.
"""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.clients import Node
from tests.room_load import ClientReport, RoomLoad, check_delivery, max_delay_ms
from tests.servers import ConfabServer, Program, gunicorn, open_connections, wait_until
from tests.services import Redis, postgres

pytestmark = [pytest.mark.servers, pytest.mark.slow, pytest.mark.timeout(240)]

# How long the faults last, as a part of their full duration.
PORTION = float(os.environ.get("PORTION", "0.5"))

MAX_DELAY_MS = 3_500
MAX_DELAY_WITH_REDIS_MS = 1_000


def load(folder: Path, server: ConfabServer, **plan: Any) -> RoomLoad:
    """Return clients that post to a new room of the server, once they are started."""
    label = server.room("kitchen")
    return RoomLoad(folder, [server.url], label, pause_ms=100, server=server, **plan)


def worker_ids(server: Program) -> list[int]:
    """Return the process ids of a gunicorn's workers."""
    return server.processes()[1:]


def is_running(pid: int) -> bool:
    """Return whether a process runs; one that has ended but was not waited for does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    state = stat.rpartition(")")[2].split()[0]
    return state != "Z"


@contextmanager
def open_files_limited_to(number: int) -> Iterator[None]:
    """Limit the open files of the programs that are started meanwhile."""
    original = Program.start

    def start(program: Program) -> None:
        program.words = ["prlimit", f"--nofile={number}:{number}", *program.words]
        original(program)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Program, "start", start)
        yield


@contextmanager
def small_file_system(folder: Path, size: str) -> Iterator[Path]:
    """Mount a file system of this size, such as "2m"."""
    if os.geteuid() != 0:
        pytest.fail(
            "this test mounts a small file system, which needs root: run it with sudo or in CI"
        )
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def test_messages_are_delivered_while_redis_is_killed_and_paused_and_a_worker_is_killed(
    tmp_path: Path, redis_server: Redis, database: dict[str, Any]
) -> None:
    with gunicorn(tmp_path, 2, REDIS_URL=redis_server.url, **database) as server:
        with load(
            tmp_path, server, senders=3, listeners=3, seconds=45 * PORTION, quiet_seconds=4
        ) as clients:
            time.sleep(4 * PORTION)
            redis_server.kill()
            redis_killed_at = time.time()
            time.sleep(10 * PORTION)
            redis_server.start()
            redis_started_at = time.time()
            time.sleep(6 * PORTION)
            redis_server.pause()
            time.sleep(8 * PORTION)
            redis_server.go_on()
            time.sleep(5 * PORTION)
            worker_killed_at = time.time()
            os.kill(worker_ids(server)[0], signal.SIGKILL)
            reports = clients.wait_for_reports()

        check_delivery(reports, server)
        delays = partial(max_delay_ms, reports, cpu_waits=clients.cpu_waits)
        assert delays(redis_killed_at, redis_started_at) <= MAX_DELAY_MS
        # Workers need up to 1.5 s to reconnect; then Redis runs until it is paused.
        reconnected_at = redis_started_at + 1.5
        redis_paused_at = redis_started_at + 6 * PORTION
        assert delays(reconnected_at, redis_paused_at) <= MAX_DELAY_WITH_REDIS_MS
        assert delays(until=worker_killed_at) <= MAX_DELAY_MS
        assert "Redis is back" in server.log()
        assert "messages to the other workers were dropped" in server.log()


def test_a_worker_that_drains_spreads_the_reconnects_of_its_clients(
    tmp_path: Path, redis_server: Redis
) -> None:
    with gunicorn(tmp_path, 2, REDIS_URL=redis_server.url) as server:
        with load(tmp_path, server, senders=3, listeners=37, seconds=8, quiet_seconds=3) as clients:
            time.sleep(2)
            stopped_at = time.time()
            busiest = max(worker_ids(server), key=lambda pid: open_connections(pid, server.port))
            os.kill(busiest, signal.SIGTERM)
            reports = clients.wait_for_reports()

        check_delivery(reports, server)
        reconnect_seconds = [
            report.connect_times[-1] - stopped_at for report in reports if has_reconnected(report)
        ]
        assert len(reconnect_seconds) >= 20
        assert max(reconnect_seconds) <= 3
        # The closing of each connection is delayed at random, by up to two seconds.
        assert max(reconnect_seconds) - min(reconnect_seconds) >= 1
        assert max_delay_ms(reports, cpu_waits=clients.cpu_waits) <= MAX_DELAY_MS


def has_reconnected(report: ClientReport) -> bool:
    return len(report.connect_times) >= 2


def test_messages_are_delivered_while_all_workers_are_replaced(
    tmp_path: Path, redis_server: Redis
) -> None:
    with gunicorn(tmp_path, 2, REDIS_URL=redis_server.url) as server:
        with load(tmp_path, server, senders=3, listeners=7, seconds=10, quiet_seconds=3) as clients:
            time.sleep(2)
            old_workers = set(worker_ids(server))
            os.kill(server.processes()[0], signal.SIGHUP)
            wait_until(
                lambda: old_workers.isdisjoint(worker_ids(server)), 8, "the old workers have ended"
            )
            reports = clients.wait_for_reports()

        check_delivery(reports, server)
        assert all(has_reconnected(report) for report in reports)


def test_workers_end_when_their_master_is_killed(tmp_path: Path) -> None:
    with gunicorn(tmp_path, 2) as server, Node() as node:
        server.room("kitchen")
        wait_until(lambda: len(worker_ids(server)) == 2, what="both workers run")
        for _ in range(4):
            node.person(server.url, reconnection=False).join("kitchen")
        workers = worker_ids(server)
        os.kill(server.processes()[0], signal.SIGKILL)

        wait_until(lambda: not any(is_running(pid) for pid in workers), 5, "no worker left")


def test_a_worker_without_free_file_descriptors_serves_again_when_it_has_some(
    tmp_path: Path,
) -> None:
    with open_files_limited_to(200), gunicorn(tmp_path) as server:
        assert "A worker may open 200 files" in server.log()
        connections = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(300)]
        for connection in connections:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")
        time.sleep(1)
        for connection in connections:
            connection.close()

        wait_until(lambda: "kitchen" in server.page("/kitchen/"), 2)


def test_a_full_worker_leaves_connections_to_the_others(tmp_path: Path) -> None:
    # With 190 files, a worker that may forward requests accepts 30 connections.
    with open_files_limited_to(190), gunicorn(tmp_path, 2) as server, Node() as node:
        server.room("kitchen")
        people = [node.person(server.url) for _ in range(50)]

        assert all(person.join("kitchen")["ok"] for person in people)


def test_messages_are_refused_with_busy_while_the_disk_is_full(tmp_path: Path) -> None:
    with (
        small_file_system(tmp_path / "small", "2m") as small,
        gunicorn(tmp_path, INSTANCE=str(small / "instance")) as server,
        Node() as node,
    ):
        server.room("kitchen")
        ada = node.person(server.url)
        ada.join("kitchen")
        ada.post("there is space")
        filler = small / "filler"
        fill_up(filler)

        message = {"handle": "Ada", "message": "x" * 4000}
        answers = [ada.ask("chat", message) for _ in range(30)]
        refused = [answer for answer in answers if not answer["ok"]]
        assert refused
        for answer in refused:
            assert answer["code"] == "busy"
            assert answer["retry"]
            assert "no space left" in answer["message"]
        assert ada.ask("history", {})["ok"]
        filler.unlink()

        message = {"handle": "Ada", "message": "there is space again"}
        wait_until(lambda: ada.ask("chat", message)["ok"], 5)
        history = ada.ask("history", {"limit": 200})["messages"]
        seqs = [each["seq"] for each in history]
        assert seqs == list(range(1, len(seqs) + 1))


def fill_up(file: Path) -> None:
    """Write to a file until its file system is full."""
    with file.open("wb", buffering=0) as opened:
        while os.statvfs(file.parent).f_bavail:
            opened.write(b"x" * 4096)


def test_messages_are_delivered_after_postgresql_was_killed_and_its_connections_ended(
    tmp_path: Path,
) -> None:
    end_all_connections = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
    )
    with (
        postgres() as postgres_server,
        gunicorn(tmp_path, 2, DATABASE_URL=postgres_server.database()) as server,
    ):
        with load(tmp_path, server, senders=3, listeners=2, seconds=14, quiet_seconds=4) as clients:
            time.sleep(2)
            postgres_server.kill()
            # The worker that takes its place starts without a database.
            os.kill(worker_ids(server)[0], signal.SIGKILL)
            time.sleep(6)
            postgres_server.start()
            time.sleep(2)
            postgres_server.run(end_all_connections)
            reports = clients.wait_for_reports()

        check_delivery(reports, server)

"""The promise: what was acknowledged is stored, and everybody sees it once, in one order, whatever happens."""

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from tests.clients import Node
from tests.servers import ConfabServer, Program, gunicorn, wait_until
from tests.services import Redis, postgres

pytestmark = [pytest.mark.servers, pytest.mark.slow, pytest.mark.timeout(240)]

ROOT = Path(__file__).parent
PORTION = float(os.environ.get("PORTION", "0.5"))  # of the faults' full times
LATE_MS = 3_500


class Crowd:
    """People who talk and listen in a room of their own process, while something happens: see crowd.mjs."""

    def __init__(self, folder: Path, server: ConfabServer, **plan: Any) -> None:
        self._report = folder / "report"
        node = shutil.which("node")
        assert node
        plan = {
            "quiet_seconds": 4,
            "urls": [server.url],
            "label": server.room("kitchen"),
            "report": str(self._report),
        } | plan
        self._words = [node, str(ROOT / "crowd.mjs"), json.dumps(plan)]

    def __enter__(self) -> "Crowd":
        self._process = subprocess.Popen(self._words, cwd=ROOT, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        assert b"ready" in self._process.stdout.readline()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def went_home(self) -> list[dict[str, Any]]:
        """What each of them saw, after the last has left."""
        assert self._process.wait(150) == 0
        people: list[dict[str, Any]] = json.loads(self._report.read_text())
        return people


def nothing_is_lost_doubled_or_out_of_order(
    people: list[dict[str, Any]], server: ConfabServer
) -> None:
    with server.database() as engine, engine.connect() as connection:
        stored = [
            tuple(row)
            for row in connection.execute(text("SELECT seq, message FROM messages ORDER BY seq"))
        ]
        head = connection.execute(text("SELECT head FROM rooms")).scalar()
    acknowledged = {tuple(each) for person in people for each in person["acked"]}

    assert [seq for seq, _ in stored] == list(range(1, (head or 0) + 1))
    assert len(acknowledged) > 50
    assert acknowledged <= set(stored)
    assert len({message for _, message in stored}) == len(stored), "stored twice"
    for person in people:
        assert [(seq, message) for seq, (_, message) in person["known"]] == stored
        assert all(times == 1 for _, times in person["told"]), "told twice"
        for wire in person["wires"]:
            assert wire == sorted(set(wire)), "told out of order"


def worst(people: list[dict[str, Any]], since: float = 0, wait_until: float = 1e12) -> float:
    """The longest that a message was under way that arrived in this time (seconds since 1970)."""
    return max(
        (
            late
            for person in people
            for at, late in person["delays"]
            if since <= at / 1000 <= wait_until
        ),
        default=0,
    )


def test_redis_dies_and_stands_still_and_a_worker_is_killed(
    tmp_path: Path, redis_server: Redis, database: dict[str, Any]
) -> None:
    with gunicorn(tmp_path, 2, REDIS_URL=redis_server.url, **database) as server:
        with Crowd(
            tmp_path,
            server,
            senders=3,
            listeners=3,
            seconds=45 * PORTION,
            pause_ms=100,
            quiet_seconds=4,
        ) as crowd:
            time.sleep(4 * PORTION)
            redis_server.kill()
            died = time.time()
            time.sleep(10 * PORTION)
            redis_server.start()
            back = time.time()
            time.sleep(6 * PORTION)
            redis_server.pause()
            time.sleep(8 * PORTION)
            redis_server.go_on()
            time.sleep(5 * PORTION)
            killed = time.time()
            os.kill(workers(server)[0], signal.SIGKILL)
            people = crowd.went_home()

        nothing_is_lost_doubled_or_out_of_order(people, server)
        assert worst(people, died, back) <= LATE_MS
        assert worst(people, back + 1.5, back + 6 * PORTION) <= 1_000
        assert worst(people, 0, killed) <= LATE_MS
        assert "Redis is back" in server.log()


def test_a_worker_that_is_asked_to_end_sends_its_people_elsewhere(
    tmp_path: Path, redis_server: Redis
) -> None:
    with gunicorn(tmp_path, 2, REDIS_URL=redis_server.url) as server:
        with Crowd(
            tmp_path, server, senders=3, listeners=37, seconds=8, pause_ms=100, quiet_seconds=3
        ) as crowd:
            time.sleep(2)
            asked = time.time()
            os.kill(max(workers(server), key=connections), signal.SIGTERM)
            people = crowd.went_home()

        nothing_is_lost_doubled_or_out_of_order(people, server)
        back = [
            person["connects"][-1] / 1000 - asked
            for person in people
            if len(person["connects"]) > 1
        ]
        assert len(back) >= 20
        assert max(back) <= 3
        assert max(back) - min(back) >= 1.5
        assert worst(people) <= LATE_MS


def test_a_change_of_all_workers_loses_nothing(tmp_path: Path, redis_server: Redis) -> None:
    with gunicorn(tmp_path, 2, REDIS_URL=redis_server.url) as server:
        with Crowd(
            tmp_path, server, senders=3, listeners=7, seconds=10, pause_ms=100, quiet_seconds=3
        ) as crowd:
            time.sleep(2)
            before = workers(server)
            os.kill(server.processes()[0], signal.SIGHUP)
            wait_until(
                lambda: not set(before) & set(workers(server)), 8, "the old workers have ended"
            )
            people = crowd.went_home()

        nothing_is_lost_doubled_or_out_of_order(people, server)
        assert all(len(person["connects"]) >= 2 for person in people)


def test_no_worker_outlives_its_master(tmp_path: Path) -> None:
    with gunicorn(tmp_path, 2) as server, Node() as node:
        server.room("kitchen")
        for _ in range(4):
            node.person(server.url, reconnection=False).join("kitchen")
        orphans = workers(server)
        os.kill(server.processes()[0], signal.SIGKILL)

        wait_until(lambda: not any(lives(pid) for pid in orphans), 5, "no worker left")


def test_a_worker_short_of_descriptors_serves_again_as_soon_as_it_has_some(tmp_path: Path) -> None:
    with limit_of_files(200), gunicorn(tmp_path, 1) as server:
        assert "A worker may open 200 files" in server.log()
        crowd = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(300)]
        for each in crowd:
            each.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")
        time.sleep(1)
        for each in crowd:
            each.close()

        wait_until(lambda: "kitchen" in server.page("/kitchen/"), 2)


def test_a_full_worker_leaves_connections_to_the_others(tmp_path: Path) -> None:
    with (
        limit_of_files(130),
        gunicorn(tmp_path, 2) as server,
        Node() as node,
    ):  # room for 30 on each
        server.room("kitchen")
        people = [node.person(server.url) for _ in range(50)]

        assert all(person.join("kitchen")["ok"] for person in people)


def test_a_full_disk_is_said_clearly_and_passes(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.fail(
            "this test mounts a small file system, which needs root: run it with sudo or in CI"
        )
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", small], check=True)
    try:
        with gunicorn(tmp_path, 1, INSTANCE=str(small / "instance")) as server, Node() as node:
            server.room("kitchen")
            ada = node.person(server.url)
            ada.join("kitchen")
            ada.post("there is space")
            filler = small / "filler"
            with filler.open("wb", buffering=0) as file:
                while os.statvfs(small).f_bavail:
                    file.write(b"x" * 4096)

            answers = [ada.ask("chat", {"handle": "Ada", "message": "x" * 4000}) for _ in range(30)]
            refused = [answer for answer in answers if not answer["ok"]]
            assert refused
            assert {answer["code"] for answer in refused} == {"busy"}
            assert all(
                answer["retry"] and "no space left" in answer["message"] for answer in refused
            )
            assert ada.ask("history", {})["ok"]
            filler.unlink()

            wait_until(
                lambda: ada.ask("chat", {"handle": "Ada", "message": "there is space again"})["ok"],
                5,
            )
            seen = [message["seq"] for message in ada.ask("history", {"limit": 200})["messages"]]
            assert seen == list(range(1, len(seen) + 1))
    finally:
        subprocess.run(["umount", "-l", small], check=True)


def test_a_postgres_that_is_restarted_is_waited_for(tmp_path: Path) -> None:
    with (
        postgres() as postgres_server,
        gunicorn(tmp_path, 2, DATABASE_URL=postgres_server.database()) as server,
    ):
        with Crowd(
            tmp_path, server, senders=3, listeners=2, seconds=14, pause_ms=100, quiet_seconds=4
        ) as crowd:
            time.sleep(2)
            postgres_server.kill()
            os.kill(
                workers(server)[0], signal.SIGKILL
            )  # the one that takes its place finds no database
            time.sleep(6)
            postgres_server.start()
            time.sleep(2)
            postgres_server.run(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
            )
            people = crowd.went_home()

        nothing_is_lost_doubled_or_out_of_order(people, server)


def lives(pid: int) -> bool:
    """Whether a process runs; one that has ended may wait a while for init to take note of it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def connections(pid: int) -> int:
    """How many sockets a process has open."""
    return sum("socket" in str(file.readlink()) for file in Path(f"/proc/{pid}/fd").iterdir())


def workers(server: Program) -> list[int]:
    """The processes of a gunicorn but its master."""
    return server.processes()[1:]


@contextmanager
def limit_of_files(number: int) -> Iterator[None]:
    """What is started meanwhile may open only so many files."""
    original = Program.start

    def start(program: Program) -> None:
        program.words = ["prlimit", f"--nofile={number}:{number}", *program.words]
        original(program)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Program, "start", start)
        yield

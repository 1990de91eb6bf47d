"""Erased text: the files of the database do not hold texts that were deleted, edited or purged."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from chat.models import rooms
from tests.clients import Node, Person
from tests.conftest import JSON
from tests.servers import ROOT, ConfabServer, flask_run, gunicorn, wait_until
from tests.services import Postgres

pytestmark = [pytest.mark.servers, pytest.mark.timeout(180)]


def gunicorn_with_two_workers(folder: Path) -> AbstractContextManager[ConfabServer]:
    """Return a server with two workers."""
    return gunicorn(folder, 2)


SERVERS: dict[str, Callable[..., AbstractContextManager[ConfabServer]]] = {
    "flask run": flask_run,
    "one worker": gunicorn,
    "two workers": gunicorn_with_two_workers,
}


def files_with(server: ConfabServer, wanted: str) -> list[str]:
    """Return the files of the instance folder that contain a text."""
    folder = Path(server.environment["INSTANCE"])
    return [path.name for path in folder.iterdir() if wanted.encode() in path.read_bytes()]


def post_edit_and_delete(ada: Person, ben: Person, secret: str) -> None:
    """Let Ada post a message under a secret name, edit it and delete it after Ben has reacted."""
    seq = ada.post(f"{secret} as it was posted", handle=f"{secret} Ada")["seq"]
    edited = f"{secret} as it was edited, which is longer"
    assert ada.ask("edit", {"seq": seq, "message": edited})["ok"]
    assert ben.ask("react", {"seq": seq, "emoji": "🦔", "on": True})["ok"]
    assert ada.ask("delete", {"seq": seq})["ok"]


def shut_down(server: ConfabServer, kind: str) -> None:
    """Stop a server by the signal that its first process expects."""
    first, *_ = server.processes()
    os.kill(first, signal.SIGINT if kind == "flask run" else signal.SIGTERM)
    wait_until(lambda: has_ended(first), 15, "the server has ended")


def has_ended(pid: int) -> bool:
    """Return whether a child process has ended; it is a zombie, because nobody waited for it."""
    state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return state == "Z"


@pytest.mark.parametrize("kind", SERVERS)
def test_erased_text_is_absent_from_the_files_of_a_stopped_server(
    tmp_path: Path, kind: str
) -> None:
    with SERVERS[kind](tmp_path) as server, Node() as node:
        server.room("kitchen")
        ada = node.person(server.url)
        ben = node.person(server.url)
        ada.join("kitchen")
        ben.join("kitchen")
        for number in range(60):  # several pages of the file
            ada.post(f"this stays {number} " + "x" * 200)
            post_edit_and_delete(ada, ben, f"confidential {number}.")
        edited = ada.post("confidential before the edit")["seq"]
        ada.ask("edit", {"seq": edited, "message": "this stays after the edit"})

        shut_down(server, kind)

    assert files_with(server, "this stays") == ["confab.db"]
    assert files_with(server, "confidential") == []
    assert files_with(server, "\\ud83e\\udd94") == []
    assert files_with(server, "🦔") == []


def run_purge(server: ConfabServer) -> JSON:
    """Run `flask confab purge --vacuum` beside a server; return what it prints."""
    report: JSON = run_command(server, "purge", "--vacuum")
    return report


def run_command(server: ConfabServer, *words: str) -> Any:
    """Run a command of `flask confab` beside a server; return the JSON that it prints."""
    done = subprocess.run(
        [sys.executable, "-m", "flask", "--app", "app", "confab", *words, "--json"],
        cwd=ROOT,
        env=server.environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def let_expire(server: ConfabServer, label: str) -> None:
    """Let the messages of a room expire after a second, and wait until they have."""
    with server.database() as engine, engine.begin() as connection:
        is_room = rooms.c.label == label
        now = datetime.now(UTC)
        connection.execute(update(rooms).where(is_room).values(expiry_seconds=1, purge_at=now))
    time.sleep(1.1)  # the shortest expiry; nothing announces its end


def clear(server: ConfabServer, label: str) -> None:
    """Clear the history of a room."""
    with server.database() as engine, engine.begin() as connection:
        is_room = rooms.c.label == label
        now = datetime.now(UTC)
        connection.execute(update(rooms).where(is_room).values(floor=rooms.c.head, purge_at=now))


def post_secrets(server: ConfabServer, ada: Person, ben: Person) -> None:
    """Let secret texts be deleted, edited, cleared and expire; other texts stay."""
    for label in ("expiring", "cleared", "kitchen"):
        server.room(label)
        ada.join(label)
        ben.join(label)
        for number in range(60):
            kept = "this stays" if label == "kitchen" else f"confidential in {label}"
            ada.post(f"{kept} {number} " + "x" * 200)
    for number in range(20):
        post_edit_and_delete(ada, ben, f"confidential {number}.")
    ada.post("this stays, under a name that replaces the last one")
    let_expire(server, "expiring")
    clear(server, "cleared")


def test_purged_text_is_absent_from_the_files_of_a_running_server(tmp_path: Path) -> None:
    with gunicorn(tmp_path, 2) as server, Node() as node:
        ada, ben = node.person(server.url), node.person(server.url)
        post_secrets(server, ada, ben)
        assert "confab.db-wal" in files_with(server, "confidential")

        run_purge(server)

        assert files_with(server, "confidential") == []
        assert files_with(server, "this stays") == ["confab.db"]
        assert ada.post("this stays too")["ok"]


def test_the_name_of_an_erased_person_is_absent_from_the_files(tmp_path: Path) -> None:
    with gunicorn(tmp_path, 2) as server, Node() as node:
        server.room("kitchen")
        ada, ben = node.person(server.url), node.person(server.url)
        mark = ada.join("kitchen")["you"]["mark"]
        ben.join("kitchen")
        ada.post("confidential", handle="confidential Ada")
        ben.post("this stays", handle="Ben")
        run_command(server, "ban", "kitchen", mark)
        run_command(server, "unban", "kitchen", mark)

        run_command(server, "person", "erase", "kitchen", mark, "--yes")
        run_purge(server)

        assert files_with(server, "confidential") == []
        assert files_with(server, "this stays") == ["confab.db"]


def test_purged_text_is_absent_from_queries_dumps_and_files_of_postgresql(
    tmp_path: Path, postgres_server: Postgres
) -> None:
    url = postgres_server.database()
    with gunicorn(tmp_path, DATABASE_URL=url) as server, Node() as node:
        ada, ben = node.person(server.url), node.person(server.url)
        post_secrets(server, ada, ben)
        assert "confidential" in postgres_server.dump(url)

        wait_until(
            lambda: "confidential" not in postgres_server.dump(url), 40, "the server has purged"
        )

        assert "this stays" in postgres_server.dump(url)
        run_purge(server)
        postgres_server.run("CHECKPOINT")
        assert postgres_server.table_files_with(url, "this stays")
        assert postgres_server.table_files_with(url, "confidential") == []

"""Erased text: after a deletion or an edit, the files of the database do not hold the old text."""

import os
import signal
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.clients import Node, Person
from tests.servers import ConfabServer, flask_run, gunicorn, wait_until

pytestmark = pytest.mark.servers


def gunicorn_with_two_workers(folder: Path) -> AbstractContextManager[ConfabServer]:
    """Return a server with two workers."""
    return gunicorn(folder, 2)


SERVERS: dict[str, Callable[..., AbstractContextManager[ConfabServer]]] = {
    "flask run": flask_run,
    "one worker": gunicorn,
    "two workers": gunicorn_with_two_workers,
}


def files_with(server: ConfabServer, text: str) -> list[str]:
    """Return the files of the instance folder that contain a text."""
    folder = Path(server.environment["INSTANCE"])
    return [path.name for path in folder.iterdir() if text.encode() in path.read_bytes()]


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
            post_edit_and_delete(ada, ben, f"secret {number}.")
        edited = ada.post("secret before the edit")["seq"]
        ada.ask("edit", {"seq": edited, "message": "this stays after the edit"})

        shut_down(server, kind)

    assert files_with(server, "this stays") == ["confab.db"]
    assert files_with(server, "secret") == []
    assert files_with(server, "\\ud83e\\udd94") == []
    assert files_with(server, "🦔") == []

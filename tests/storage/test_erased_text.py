"""What is taken back is gone: of its text and its reactions nothing is left in the files of the database."""

import os
import signal
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.clients import Node, Person
from tests.servers import ConfabServer, flask_run, gunicorn, wait_until

pytestmark = pytest.mark.servers

SERVERS: dict[str, Callable[..., AbstractContextManager[ConfabServer]]] = {
    "flask run": flask_run,
    "one worker": gunicorn,
    "two workers": lambda folder: gunicorn(folder, 2),
}


def files_with(server: ConfabServer, text: str) -> list[str]:
    """The files of the installation in which a text is found."""
    folder = Path(server.environment["INSTANCE"])
    return [path.name for path in folder.iterdir() if text.encode() in path.read_bytes()]


def take_back(ada: Person, ben: Person, secret: str) -> None:
    """Ada says something, says it differently, and takes it back; Ben has reacted."""
    seq = ada.post(f"{secret} as it was said")["seq"]
    assert ada.ask("edit", {"seq": seq, "message": f"{secret} as it was edited, which is longer"})[
        "ok"
    ]
    assert ben.ask("react", {"seq": seq, "emoji": "🦔", "on": True})["ok"]
    assert ada.ask("delete", {"seq": seq})["ok"]


def close(server: ConfabServer, kind: str) -> None:
    """Stop it, as one stops it by hand."""
    first, *_ = server.processes()
    os.kill(first, signal.SIGINT if kind == "flask run" else signal.SIGTERM)
    wait_until(lambda: has_ended(first), 15, "it has ended")


def has_ended(pid: int) -> bool:
    """Whether a process has ended, though nobody has asked how."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


@pytest.mark.parametrize("kind", SERVERS)
def test_of_what_was_deleted_the_closed_files_hold_nothing(tmp_path: Path, kind: str) -> None:
    with SERVERS[kind](tmp_path) as server, Node() as node:
        server.room("kitchen")
        ada, ben = node.person(server.url), node.person(server.url)
        for each in (ada, ben):
            each.join("kitchen")
        for number in range(60):  # some pages of the file
            ada.post(f"this stays {number} " + "x" * 200)
            take_back(ada, ben, f"secret {number}.")
        edited = ada.post("secret before the edit")["seq"]
        ada.ask("edit", {"seq": edited, "message": "this stays after the edit"})

        close(server, kind)

    assert files_with(server, "this stays") == ["confab.db"]
    assert files_with(server, "secret") == []
    assert files_with(server, "\\ud83e\\udd94") == files_with(server, "🦔") == []

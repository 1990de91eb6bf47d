"""Commands beside running servers: what they change is numbered and reaches everybody in the room.

Ada and Ben are in the room, on different workers or on the same. Cy is in another room.
"""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from chat.storage.instance_folder import startup_lock
from tests.clients import Node, Person
from tests.servers import ROOT, ConfabServer, free_port, gunicorn, wait_until
from tests.services import Redis

pytestmark = [pytest.mark.servers, pytest.mark.slow, pytest.mark.timeout(120)]

CONFAB = (sys.executable, "-m", "flask", "--app", "app", "confab")

JSON = dict[str, Any]
DELIVERY_SECONDS = 6.0
"""The reconcilers find a change within 3.5 seconds; the machine may be busy."""


class Chat(NamedTuple):
    """A server with two workers, and the people on it."""

    server: ConfabServer
    ada: Person
    ben: Person
    cy: Person
    mark_of_ben: str


def run(server: ConfabServer, *words: str) -> "subprocess.CompletedProcess[str]":
    """Run `flask confab` beside a server, with its settings."""
    return run_with(server.environment, *words)


def run_with(environment: dict[str, str], *words: str) -> "subprocess.CompletedProcess[str]":
    """Run `flask confab` with some settings."""
    return subprocess.run(
        [*CONFAB, *words],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


def run_json(server: ConfabServer, *words: str) -> Any:
    """Run a command that has to succeed; return the JSON that it prints."""
    ended = run(server, *words, "--json")
    assert ended.returncode == 0, ended.stderr
    assert "Traceback" not in ended.stderr
    return json.loads(ended.stdout)


def numbers(person: Person) -> list[int]:
    """Return the numbers of the changes that a person has received, in the order of arrival."""
    return [change["rev"] for change in person.received("chat") + person.received("change")]


def texts(person: Person) -> list[str]:
    """Return the texts of the messages that a person has received."""
    return [message["message"] for message in person.received()]


@pytest.fixture(params=["Redis", "no Redis"])
def chat(request: pytest.FixtureRequest, tmp_path: Path, database: JSON) -> Iterator[Chat]:
    """A server with two workers, on each kind of database, with and without Redis."""
    settings = dict(database)
    if request.param == "Redis":
        redis: Redis = request.getfixturevalue("redis_server")
        settings["REDIS_URL"] = redis.url
    with ExitStack() as stack:
        server = stack.enter_context(gunicorn(tmp_path, workers=2, **settings))
        for label in ("kitchen", "garden"):
            server.room(label)
        node = stack.enter_context(Node())
        ada, ben, cy = (node.person(server.url) for _ in range(3))
        ada.join("kitchen")
        mark = ben.join("kitchen")["you"]["mark"]
        cy.join("garden")
        ada.post("hello")
        ben.post("a secret", handle="Ben")
        yield Chat(server, ada, ben, cy, mark)


def wait_until_told(person: Person, sentence: str) -> None:
    """Wait until a person has received a message."""
    wait_until(lambda: sentence in texts(person), DELIVERY_SECONDS, sentence)


def wait_for_numbers(person: Person, last: int) -> None:
    """Wait until a person has received as many changes as the room has."""
    wait_until(lambda: len(numbers(person)) >= last, what=f"{last} changes arrive")


def test_a_ban_and_a_cleared_history_are_announced_and_in_force(chat: Chat) -> None:
    banned = run_json(chat.server, "ban", "kitchen", chat.mark_of_ben, "--hours", "2")
    chat.ben.wait_until("disconnect")
    # Clearing erases what a worker has not read yet.
    wait_until_told(chat.ada, "The operator banned Ben for 2 hours")
    cleared = run_json(chat.server, "room", "clear", "kitchen", "--yes")

    assert banned["handle"] == "Ben"
    received = numbers(chat.ada)
    assert received == [1, 2, 3, cleared["rev"]][: len(received)]
    # Without Redis, a worker finds another epoch, and announces it instead of the message.
    wait_until(
        lambda: cleared["rev"] in numbers(chat.ada) or chat.ada.received("head"),
        DELIVERY_SECONDS,
        "the cleared history is announced",
    )
    [message] = chat.ada.join("kitchen")["messages"]
    assert message["message"] == "The operator cleared the history"
    assert message["rev"] == cleared["rev"] == 4
    assert chat.ada.post("after")["rev"] == 5
    assert run_json(chat.server, "bans") == [banned]
    assert [room["messages"] for room in run_json(chat.server, "rooms")] == [1, 0]
    assert texts(chat.cy) == []


def test_what_a_command_changes_arrives_over_redis(
    tmp_path: Path, database: JSON, redis_server: Redis
) -> None:
    settings = {"REDIS_URL": redis_server.url, **database}
    with gunicorn(tmp_path, 2, "tests.seldom_polling:app", **settings) as server, Node() as node:
        server.room("kitchen")
        people = [node.person(server.url) for _ in range(6)]  # on both workers
        ada, *others = people
        ada.join("kitchen")
        ben, *_ = others
        mark_of_ben = ben.join("kitchen")["you"]["mark"]
        for other in others[1:]:
            other.join("kitchen")
        ada.post("hello")

        banned = run_json(server, "ban", "kitchen", mark_of_ben)
        shown = run_json(server, "room", "show", "kitchen")

        assert banned["mark"] == mark_of_ben
        assert shown["head"] == 2
        ben.wait_until("disconnect")
        for person in people:
            wait_for_numbers(person, 2)
            assert numbers(person) == [1, 2]


def test_erasing_a_person_while_others_post_loses_no_number(chat: Chat) -> None:
    is_done = threading.Event()

    def post_on() -> None:
        while not is_done.is_set():
            chat.ada.post("meanwhile")
            is_done.wait(0.02)

    poster = threading.Thread(target=post_on)
    poster.start()
    try:
        [erased] = run_json(chat.server, "person", "erase", "kitchen", chat.mark_of_ben, "--yes")
    finally:
        is_done.set()
        poster.join()
    last = chat.ada.post("the last one")["rev"]

    assert erased["erased"] == 1
    sentence = "The operator erased everything that one person wrote here"
    for person in (chat.ada, chat.ben):
        wait_until_told(person, sentence)
        wait_for_numbers(person, last)
        assert sorted(numbers(person)) == list(range(1, last + 1))
        [tombstone] = person.received("change")
        assert (tombstone["seq"], tombstone["message"]) == (2, "")
    assert texts(chat.cy) == []
    assert "secret" not in chat.server.page("/kitchen/")


def test_people_in_a_deleted_room_are_told_and_disconnected(chat: Chat) -> None:
    deleted = run_json(chat.server, "room", "delete", "kitchen", "--yes")

    assert deleted["messages"] == 2
    for person in (chat.ada, chat.ben):
        wait_until_told(person, "The operator closed the room")
        person.wait_until("disconnect")
    assert texts(chat.cy) == []
    assert chat.cy.ask("join", {"label": "kitchen"})["code"] == "not_found"
    unknown = run(chat.server, "room", "show", "kitchen", "--json")
    assert (unknown.returncode, unknown.stdout) == (1, "")
    assert unknown.stderr == "Error: There is no room with the label kitchen.\n"
    assert chat.server.head(chat.server.room("kitchen")) == 0


def test_a_command_for_a_database_that_cannot_be_reached_prints_one_sentence(
    tmp_path: Path,
) -> None:
    port = free_port()
    environment = {
        "PATH": os.environ["PATH"],
        "INSTANCE": str(tmp_path),
        "ENV_FILE": os.devnull,
        "FLASK_SKIP_DOTENV": "1",
        "DATABASE_URL": f"postgresql://127.0.0.1:{port}/confab",
    }

    ended = run_with(environment, "rooms", "--json")

    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith("Error: The database postgresql")
    assert ended.stderr.endswith("check DATABASE_URL.\n")
    assert ended.stderr.count("\n") == 1


def test_a_command_waits_while_a_server_starts(tmp_path: Path) -> None:
    with gunicorn(tmp_path) as server:
        server.room("kitchen")
        with startup_lock(Path(server.environment["INSTANCE"])):
            started = subprocess.Popen(
                [*CONFAB, "rooms", "--json"],
                cwd=ROOT,
                env=server.environment,
                stdout=subprocess.PIPE,
            )
            with pytest.raises(subprocess.TimeoutExpired):
                started.wait(4)
        output, _ = started.communicate(timeout=30)

    assert started.returncode == 0
    assert [room["label"] for room in json.loads(output)] == ["kitchen"]

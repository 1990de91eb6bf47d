"""Deleting 5,000 messages of one person while others talk, with gunicorn and eventlet."""

import http.cookiejar
import time
import urllib.parse
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

import pytest
from sqlalchemy import text as sql

from tests.clients import JSON, Node, Person
from tests.pages import hidden_fields
from tests.servers import ConfabServer, gunicorn
from tests.storage.test_erased_text import files_with, shut_down

pytestmark = pytest.mark.servers

MESSAGES = 5_000
POST_INTERVAL_SECONDS = 0.1
MESSAGES_BEFORE = 30

MAX_ADDED_SECONDS = 0.5
"""How much later than before a message may be stored, in the median. If all were deleted in one
transaction, it would be seconds."""


class Browser:
    """Somebody who uses the pages without scripts."""

    def __init__(self, server: ConfabServer) -> None:
        self._url = server.url
        cookies = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        self._opener = urllib.request.build_opener(cookies)

    def get(self, path: str) -> str:
        """Return a page."""
        return str(self._opener.open(self._url + path, timeout=30).read().decode())

    def post(self, path: str, form: dict[str, str]) -> str:
        """Send a form; return the page that answers."""
        body = urllib.parse.urlencode(form).encode()
        return str(self._opener.open(self._url + path, body, timeout=30).read().decode())


def multiply_messages(server: ConfabServer) -> None:
    """Store more messages by the author of the only message that there is."""
    with server.database() as engine, engine.begin() as transaction:
        row = transaction.execute(sql("SELECT room_id, author, timestamp FROM messages")).one()
        rows = [
            {**row._mapping, "seq": seq, "message": f"secret {seq} " + "x" * (seq % 200)}
            for seq in range(2, MESSAGES + 1)
        ]
        transaction.execute(
            sql(
                "INSERT INTO messages (room_id, seq, rev, author, handle, message, timestamp)"
                " VALUES (:room_id, :seq, :seq, :author, 'secret Ada', :message, :timestamp)"
            ),
            rows,
        )
        transaction.execute(sql(f"UPDATE rooms SET head = {MESSAGES}"))


def delete_everything(browser: Browser, label: str) -> str:
    """Press the buttons of the page until everything is deleted; return the last page."""
    page = browser.get(f"/{label}/your-data")
    assert "You have 5,000 messages in this room." in page
    form = {"csrf": hidden_fields(page)["csrf"], "confirm": "yes"}
    while True:
        page = browser.post(f"/{label}/your-data/delete", form)
        if "Continue deleting" not in page:
            return page
        form = hidden_fields(page)


class Talk:
    """Ben, who posts at a steady rate, and how late each message was stored: its `delays`."""

    def __init__(self, ben: Person) -> None:
        self._ben = ben
        self._due = time.monotonic()
        self.delays: list[float] = []

    def post(self) -> None:
        """Post a message when it is due, and wait until it is stored."""
        time.sleep(max(0.0, self._due - time.monotonic()))
        self._ben.post(f"the words of Ben {len(self.delays)}", handle="Ben")
        self.delays.append(time.monotonic() - self._due)
        self._due += POST_INTERVAL_SECONDS


def texts_in(server: ConfabServer) -> list[str]:
    """Return the texts of all messages in the database."""
    with server.database() as engine, engine.begin() as transaction:
        return list(transaction.scalars(sql("SELECT message FROM messages ORDER BY seq")))


def test_others_talk_while_five_thousand_messages_are_deleted(tmp_path: Path) -> None:
    with gunicorn(tmp_path, LIMITS="off") as server, Node() as node:
        server.room("kitchen")
        ada = Browser(server)
        form = hidden_fields(ada.get("/kitchen/")) | {"handle": "Ada", "message": "secret 1"}
        ada.post("/kitchen/", form)
        multiply_messages(server)
        cy = node.person(server.url)
        joined: JSON = cy.join("kitchen")
        assert joined["head"] == MESSAGES

        ben = node.person(server.url)
        ben.join("kitchen")
        talk = Talk(ben)
        for _ in range(MESSAGES_BEFORE):
            talk.post()

        with ThreadPoolExecutor(1) as executor:
            deletion = executor.submit(delete_everything, ada, "kitchen")
            while not deletion.done():
                talk.post()

        assert "Everything you wrote in this room has been deleted." in deletion.result()
        before = median(talk.delays[:MESSAGES_BEFORE])
        assert median(talk.delays[MESSAGES_BEFORE:]) < before + MAX_ADDED_SECONDS
        posted = [f"the words of Ben {number}" for number in range(len(talk.delays))]
        assert [each["message"] for each in cy.hear(len(posted))] == posted
        changes = cy.hear(MESSAGES, "change")
        assert {row["seq"] for row in changes} == set(range(1, MESSAGES + 1))
        assert all(row["deleted"] for row in changes)
        assert [each for each in texts_in(server) if each] == posted
        shut_down(server, "one worker")

    assert files_with(server, "the words of Ben") == ["confab.db"]
    assert files_with(server, "secret ") == []

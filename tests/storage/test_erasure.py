"""Erasing what a person has written in a room, and counting and finding it."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, text, update

from chat.models import Room, messages, rooms
from chat.moderation.rules import utc_now
from chat.moderation.tables import known_names, moderation_log, reports, sanctions
from chat.services import services_of
from chat.storage import personal_data
from chat.storage.database import read_transaction, write_transaction
from chat.storage.erasure import ERASED_SENTENCE, Progress, erase_person, erase_unknown_author
from chat.storage.moderation_commands import Impose, Lift, Target
from chat.storage.personal_data import Count, author_with_mark, count
from chat.storage.reports import create_report, reportable_message, reports_of_room
from config import Config
from tests.conftest import Client, create_room, in_room

TABLES = ("messages", "known_names", "moderation_log", "reports", "sanctions", "rooms")


def do_nothing() -> None:
    """Pause for no time."""


def author_of(browser: FlaskClient) -> str:
    """Return the author id in the cookie of a browser."""
    with browser.session_transaction() as session:
        return str(session["author"])


@pytest.fixture
def ada_browser(app: Flask, kitchen: str) -> FlaskClient:
    """The browser of Ada, with a cookie."""
    browser = app.test_client()
    browser.get(f"/{kitchen}/")
    return browser


@pytest.fixture
def ada(open_client: Callable[..., Client], ada_browser: FlaskClient, kitchen: str) -> Client:
    """Ada, with the identity of her browser."""
    return in_room(open_client(ada_browser), kitchen)


@pytest.fixture
def adas_id(ada_browser: FlaskClient) -> str:
    """The author id of Ada."""
    return author_of(ada_browser)


def erase(app: Flask, label: str, author: str, **given: Any) -> Progress:
    """Erase what a person has written in a room."""
    with app.app_context():
        return erase_person(services_of(app).journal, Room.find(label), author, **given)


def counted(app: Flask, label: str, author: str) -> Count:
    """Count what a person has written in a room."""
    with app.app_context():
        return count(Room.find(label), author, do_nothing)


def whole_database(app: Flask) -> str:
    """Return the rows of all tables that may name a person."""
    rows: list[Any] = []
    with app.app_context():
        for table in TABLES:
            with read_transaction() as connection:
                rows += connection.execute(text(f"SELECT * FROM {table}")).all()
    return "\n".join(map(str, rows))


def test_everything_a_person_wrote_is_erased_and_the_rest_stays(
    app: Flask, ada: Client, ben: Client, kitchen: str, adas_id: str
) -> None:
    ada.post("secret one", handle="Ada Secret")
    ben.post("the words of Ben", handle="Ben")
    ada.ask("rename", {"handle": "Adele Secret"})
    ada.ask("title", {"name": "Supper", "handle": "Adele Secret"})
    assert ada.ask("react", {"seq": 2, "emoji": "👍", "on": True})["ok"]
    assert ben.ask("react", {"seq": 2, "emoji": "👍", "on": True})["ok"]
    assert ben.ask("react", {"seq": 1, "emoji": "🎉", "on": True})["ok"]
    assert counted(app, kitchen, adas_id) == Count(messages=1, system_messages=2, reactions=1)
    ben.received()

    progress = erase(app, kitchen, adas_id)

    assert progress.is_complete
    assert progress.erased == 4
    changes = {row["seq"]: row for row in ben.received("change")}
    assert [seq for seq, row in changes.items() if row.get("deleted")] == [1, 3, 4]
    assert all(not changes[seq]["message"] and not changes[seq]["mark"] for seq in (1, 3, 4))
    assert changes[2]["message"] == "the words of Ben"
    assert len(changes[2]["reactions"]["👍"]) == 1
    assert counted(app, kitchen, adas_id).is_empty
    stored = whole_database(app)
    assert "Secret" not in stored
    assert adas_id not in stored
    assert "the words of Ben" in stored
    assert "Supper" in stored  # the name of the room is not Ada's


def test_erasing_again_changes_nothing(
    app: Flask, ada: Client, ben: Client, kitchen: str, adas_id: str
) -> None:
    ada.post("hello")
    erase(app, kitchen, adas_id)
    ben.received()

    assert erase(app, kitchen, adas_id).erased == 0
    assert ben.received() == []


def test_an_erasure_that_was_interrupted_continues_where_it_ended(
    app: Flask, ada: Client, kitchen: str, adas_id: str
) -> None:
    for number in range(120):
        ada.post(f"message {number}")

    first = erase(app, kitchen, adas_id, seconds=0)
    assert not first.is_complete
    assert 0 < first.erased < 120
    total = first.erased
    progress = first
    while not progress.is_complete:
        progress = erase(app, kitchen, adas_id, after=progress.after, seconds=0)
        total += progress.erased

    assert total == 120
    assert counted(app, kitchen, adas_id).is_empty


def test_a_room_is_read_in_windows(
    app: Flask, ada: Client, ben: Client, kitchen: str, adas_id: str, monkeypatch: Any
) -> None:
    monkeypatch.setattr(personal_data, "WINDOW_SEQS", 3)
    for number in range(10):
        (ada if number % 2 else ben).post(f"message {number}")

    assert counted(app, kitchen, adas_id).messages == 5
    assert erase(app, kitchen, adas_id).erased == 5
    with app.app_context(), read_transaction() as connection:
        texts = connection.scalars(select(messages.c.message).order_by(messages.c.seq)).all()
    assert [each for each in texts if each] == [f"message {number}" for number in range(0, 10, 2)]


def test_what_names_a_person_outside_of_messages_is_erased(
    app: Flask, ada: Client, kitchen: str, adas_id: str
) -> None:
    seq = ada.post("a bad word", handle="Ada Secret")["seq"]
    with app.app_context():
        room = Room.find(kitchen)
        mark = room.mark(adas_id)
        create_report(room, "b" * 16, "bad", reportable_message(room, seq), to_operator=False)
        create_report(room, mark, "my secret reason", None, to_operator=False)
        now = utc_now()
        with write_transaction() as connection:
            entry = {"room_id": room.id, "at": now, "handle": "Ben", "action": "mute"}
            about = {"mark": "b" * 16, "target": mark, "sentence": "Ben muted Ada Secret"}
            connection.execute(moderation_log.insert(), entry | about)
            row = {"room_id": room.id, "mark": mark, "handle": "Ada Secret", "until": None}
            connection.execute(sanctions.insert(), row | {"kind": "mute", "created_at": now})

    erase(app, kitchen, adas_id)

    assert "ecret" not in whole_database(app)
    with app.app_context(), read_transaction() as connection:
        [sanction] = connection.execute(select(sanctions)).all()
        assert (sanction.mark, sanction.kind, sanction.handle) == (mark, "mute", "")
        assert connection.scalars(select(moderation_log.c.sentence)).all() == [ERASED_SENTENCE]
        assert connection.execute(select(known_names)).all() == []
        assert len(connection.execute(select(reports)).all()) == 2
    with app.app_context():
        assert {each.reason for each in reports_of_room(room)} == {"", "bad"}


def test_an_author_is_found_by_the_mark(
    app: Flask, ada: Client, ben: Client, kitchen: str, adas_id: str
) -> None:
    ben.post("hello")
    assert ada.ask("react", {"seq": 1, "emoji": "👍", "on": True})["ok"]
    with app.app_context():
        room = Room.find(kitchen)

        assert author_with_mark(room, room.mark(adas_id), do_nothing) == adas_id
        assert author_with_mark(room, "0" * 16, do_nothing) is None


def test_the_erasure_of_an_unknown_author_continues_where_it_ended(
    app: Flask, ben: Client, kitchen: str
) -> None:
    mark = "0" * 16
    ben.post("hello")
    with app.app_context():
        room = Room.find(kitchen)
        journal = services_of(app).journal
        for _ in range(50):
            for kind in (Impose, Lift):
                target = Target(mark, "Cy Secret")
                journal.submit(kind(room, "", "", is_operator=True, target_person=target))

        first = erase_unknown_author(journal, room, mark, seconds=0)
        assert not first.is_complete
        assert 0 < first.erased < 100
        total = first.erased
        progress = first
        while not progress.is_complete:
            progress = erase_unknown_author(journal, room, mark, after=progress.after, seconds=0)
            total += progress.erased

    assert total == 100
    stored = whole_database(app)
    assert "Secret" not in stored
    assert "hello" in stored


@pytest.mark.servers
def test_both_databases_find_and_erase_the_same(
    make_app: Callable[[Config], Flask], tmp_path: Path, database: dict[str, str]
) -> None:
    url = database.get("DATABASE_URL")
    app = make_app(Config(instance=tmp_path, database_url=url, limits=False, reaction_seconds=0))
    create_room(app, "kitchen")
    browser = app.test_client()
    browser.get("/kitchen/")
    hana, ada = (in_room(Client(app, each), "kitchen") for each in (None, browser))
    assert hana.post("Hana is here", handle="Hana")["ok"]
    with app.app_context():
        ada_id = author_of(browser)
        ada_mark = Room.find("kitchen").mark(ada_id)
        hana_mark = Room.find("kitchen").mark(author_of_message(1))
        with write_transaction() as connection:
            connection.execute(update(rooms).values(roles={hana_mark: "host"}))
    ada.post("the secret of Ada", handle="Ada")
    ada.ask("react", {"seq": 1, "emoji": "👍", "on": True})
    nobody_mark = "0" * 16
    for mark in (ada_mark, nobody_mark):
        assert hana.ask("moderate", {"action": "mute", "target": mark, "seconds": 600})["ok"]

    assert counted(app, "kitchen", ada_id) == Count(1, 1, 1)
    with app.app_context():
        assert author_with_mark(Room.find("kitchen"), ada_mark, do_nothing) == ada_id
    assert erase(app, "kitchen", ada_id).erased == 3
    assert counted(app, "kitchen", ada_id).is_empty
    assert "Ada" not in whole_database(app)
    with app.app_context():
        journal = services_of(app).journal
        assert erase_unknown_author(journal, Room.find("kitchen"), nobody_mark).erased == 1
    assert "Hana muted" not in whole_database(app)
    hana.close()
    ada.close()


def author_of_message(seq: int) -> str:
    """Return the author of a message."""
    with read_transaction() as connection:
        return str(connection.scalar(select(messages.c.author).where(messages.c.seq == seq)))


def test_others_can_talk_while_much_is_erased(
    app: Flask, ada: Client, ben: Client, kitchen: str, adas_id: str
) -> None:
    for number in range(300):
        ada.post(f"secret {number}")
    thread = threading.Thread(target=erase, args=(app, kitchen, adas_id))
    thread.start()

    posted = [ben.post(f"hello {number}", handle="Ben")["seq"] for number in range(50)]
    thread.join(timeout=30)

    assert counted(app, kitchen, adas_id).is_empty
    with app.app_context(), read_transaction() as connection:
        stored = connection.execute(select(messages.c.seq, messages.c.message)).all()
    assert {row.seq: row.message for row in stored if row.message} == {
        seq: f"hello {number}" for number, seq in enumerate(posted)
    }

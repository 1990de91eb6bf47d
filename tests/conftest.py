"""The cast: an app of its own for every test, and people with browsers who talk in it."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from flask import Flask
from flask.testing import FlaskClient
from flask_socketio import SocketIO

from chat import create_app
from chat.services import services_of
from chat.storage import journal
from chat.storage.database import db
from config import Config
from tests.services import Postgres, Redis, postgres, redis

JSON = dict[str, Any]
Patch = pytest.MonkeyPatch
Log = pytest.LogCaptureFixture


class Client:
    """One page open in somebody's browser: it asks, and remembers what it heard."""

    def __init__(self, app: Flask, browser: FlaskClient | None, token: str | None = None) -> None:
        socketio: SocketIO = app.extensions["socketio"]  # where Flask-SocketIO puts it
        self._presence: list[JSON] = []
        auth = None if token is None else {"token": token}
        self._client = socketio.test_client(app, flask_test_client=browser, auth=auth)

    def ask(self, event: str, *data: Any) -> JSON:
        """Send an event; the answer."""
        return cast(JSON, self._client.emit(event, *data, callback=True))

    def join(self, label: str, **data: Any) -> JSON:
        """Enter a room; the answer."""
        return self.ask("join", {"label": label, **data})

    def post(self, message: str, handle: str = "Ada", **data: Any) -> JSON:
        """Say something; the answer."""
        return self.ask("chat", {"handle": handle, "message": message, **data})

    def received(self, event: str | None = None) -> list[JSON]:
        """What arrived since the last time somebody looked; every event but presence, or the payloads of one.

        Presence is told when it is time for it: whoever wants to know, names it.
        """
        events = cast(list[JSON], self._client.get_received())
        self._presence += [each["args"][0] for each in events if each["name"] == "presence"]
        if event == "presence":
            told, self._presence = self._presence, []
            return told
        if event is None:
            return [each for each in events if each["name"] != "presence"]
        return [each["args"][0] for each in events if each["name"] == event]

    def close(self) -> None:
        """Close the page."""
        if self._client.is_connected():
            self._client.disconnect()


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Flask]:
    """Confab on an empty database. No context is left open: it would lend one person's identity to another."""
    made = create_app(Config(instance=tmp_path / "instance"))
    yield made
    services_of(made).reconciler.stop()
    services_of(made).presence.stop()
    with made.app_context():
        db.engine.dispose()


@pytest.fixture
def kitchen(app: Flask) -> str:
    """The label of a room that is there."""
    return create_room(app, "kitchen")


@pytest.fixture
def open_client(app: Flask) -> Iterator[Callable[..., Client]]:
    """Open a page for somebody: tab() for a new browser, tab(browser) for one more page of the same."""
    opened: list[Client] = []

    def open_tab(browser: FlaskClient | None = None, **given: Any) -> Client:
        opened.append(Client(app, browser, **given))
        return opened[-1]

    yield open_tab
    for each in opened:
        each.close()


@pytest.fixture
def ada(open_client: Callable[..., Client], kitchen: str) -> Client:
    """Ada is in the kitchen."""
    return in_room(open_client(), kitchen)


@pytest.fixture
def ben(open_client: Callable[..., Client], kitchen: str) -> Client:
    """Ben is in the kitchen too."""
    return in_room(open_client(), kitchen)


@pytest.fixture
def cy(app: Flask, open_client: Callable[..., Client]) -> Client:
    """Cy is in the garden, and hears nothing of the kitchen."""
    return in_room(open_client(), create_room(app, "garden"))


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    """A PostgreSQL; whoever needs a database of it makes an empty one."""
    with postgres() as service:
        yield service


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[Redis]:
    """A Redis to carry messages between workers."""
    with redis(tmp_path / "redis") as service:
        yield service


@pytest.fixture(params=["SQLite", "PostgreSQL"])
def database(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The setting that chooses the database."""
    if request.param == "SQLite":
        return {}
    postgres_server: Postgres = request.getfixturevalue("postgres_server")
    return {"DATABASE_URL": postgres_server.database()}


@pytest.fixture
def in_background() -> Iterator[None]:
    """Ignore the signals of a terminal, as whatever a shell without job control starts with `&` does."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
    before = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def in_room(person: Client, label: str) -> Client:
    """The same person, in a room."""
    assert person.join(label)["ok"]
    return person


def create_room(app: Flask, label: str) -> str:
    """Make a room; its label."""
    with app.app_context():
        return journal.get_or_create_room(label).label

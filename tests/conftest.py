"""Fixtures for all tests: an app of its own for each test, clients of its rooms, and databases.

The clients are Ada and Ben, who are in the room `kitchen`, and Cy, who is in another room.
"""

import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from flask import Flask
from flask.testing import FlaskClient
from flask_socketio import SocketIO

from chat import create_app, shut_down
from chat.services import services_of
from chat.storage import journal
from config import Config
from tests.servers import IMPATIENT_SERVERS, ConfabServer, impatient
from tests.services import Postgres, Redis, postgres, redis

JSON = dict[str, Any]
Patch = pytest.MonkeyPatch
Log = pytest.LogCaptureFixture


class Client:
    """A Socket.IO client in this process. It keeps the events it receives until they are read."""

    def __init__(self, app: Flask, browser: FlaskClient | None, token: str | None = None) -> None:
        socketio: SocketIO = app.extensions["socketio"]  # where Flask-SocketIO puts it
        self._presence: list[JSON] = []
        auth = None if token is None else {"token": token}
        self._client = socketio.test_client(app, flask_test_client=browser, auth=auth)

    def ask(self, event: str, *data: Any) -> JSON:
        """Send an event; return its answer."""
        return cast(JSON, self._client.emit(event, *data, callback=True))

    def join(self, label: str, **data: Any) -> JSON:
        """Enter a room; return the answer."""
        return self.ask("join", {"label": label, **data})

    def post(self, message: str, handle: str = "Ada", **data: Any) -> JSON:
        """Post a message; return the answer."""
        return self.ask("chat", {"handle": handle, "message": message, **data})

    def received(self, event: str | None = None) -> list[JSON]:
        """Return the events received since the last call, or the payloads of one kind of event.

        Events of other kinds are discarded. `presence` is sent at times that no test decides: it is
        kept, and returned only when it is asked for by name.
        """
        events = cast(list[JSON], self._client.get_received())
        self._presence += [each["args"][0] for each in events if each["name"] == "presence"]
        if event == "presence":
            presence = self._presence
            self._presence = []
            return presence
        if event is None:
            return [each for each in events if each["name"] != "presence"]
        return [each["args"][0] for each in events if each["name"] == event]

    @property
    def is_connected(self) -> bool:
        """Whether the server has accepted the connection, and it has not ended."""
        return bool(self._client.is_connected())

    def close(self) -> None:
        """Disconnect, unless the connection has ended already."""
        if self._client.is_connected():
            self._client.disconnect()


class StoppedClock:
    """A monotonic clock that stands still until a test sets `now`, in seconds."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Flask]:
    """Confab with an empty SQLite database and without rate limits.

    No app context is left open: events would share its `g`, and with it the identity of a browser.
    """
    config = Config(instance=tmp_path / "instance", limits=False, reaction_seconds=0)
    with open_app(config) as made:
        yield made


@contextmanager
def open_app(config: Config) -> Iterator[Flask]:
    """Create an app, and stop it in the end."""
    made = create_app(config)
    yield made
    shut_down(made)


@pytest.fixture
def make_app() -> Iterator[Callable[[Config], Flask]]:
    """A function that creates an app, which is stopped when the test ends."""
    with ExitStack() as stack:
        yield lambda config: stack.enter_context(open_app(config))


@pytest.fixture
def limited_app(make_app: Callable[[Config], Flask], tmp_path: Path) -> Callable[..., Flask]:
    """A function that creates an app with limits, whose clock stands still."""

    def make(**settings: Any) -> Flask:
        app = make_app(Config(instance=tmp_path / "instance", **settings))
        services_of(app).limits.clock = StoppedClock()
        return app

    return make


@pytest.fixture
def kitchen(app: Flask) -> str:
    """The label of a room that exists."""
    return create_room(app, "kitchen")


@pytest.fixture
def open_client(app: Flask) -> Iterator[Callable[..., Client]]:
    """A function that connects a client.

    `open_client()` gives it a new identity, `open_client(browser)` that of a Flask test client's
    cookie, `open_client(token=...)` that of a token.
    """
    opened: list[Client] = []

    def connect(browser: FlaskClient | None = None, **given: Any) -> Client:
        client = Client(app, browser, **given)
        opened.append(client)
        return client

    yield connect
    for each in opened:
        each.close()


@pytest.fixture
def ada(open_client: Callable[..., Client], kitchen: str) -> Client:
    """A client in the kitchen; it posts."""
    return in_room(open_client(), kitchen)


@pytest.fixture
def ben(open_client: Callable[..., Client], kitchen: str) -> Client:
    """A second client in the kitchen; it receives."""
    return in_room(open_client(), kitchen)


@pytest.fixture
def cy(app: Flask, open_client: Callable[..., Client]) -> Client:
    """A client in the garden, which must not receive anything from the kitchen."""
    return in_room(open_client(), create_room(app, "garden"))


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    """A PostgreSQL server; each test creates an empty database in it."""
    with postgres() as service:
        yield service


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[Redis]:
    """A Redis server for the bus between workers."""
    with redis(tmp_path / "redis") as service:
        yield service


@pytest.fixture(scope="module", params=IMPATIENT_SERVERS)
def impatient_server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ConfabServer]:
    """Each server, with a kitchen and the short time limits of tests/impatient.py."""
    with impatient(tmp_path_factory.mktemp("server"), request.param) as started:
        started.room("kitchen")
        yield started


@pytest.fixture(params=["SQLite", "PostgreSQL"])
def database(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The setting that selects the database; the test runs once with each."""
    if request.param == "SQLite":
        return {}
    postgres_server: Postgres = request.getfixturevalue("postgres_server")
    return {"DATABASE_URL": postgres_server.database()}


@pytest.fixture
def in_background() -> Iterator[None]:
    """Ignore the signals that a shell without job control ignores for what it starts with `&`."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
    before = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def in_room(client: Client, label: str) -> Client:
    """Let a client join a room; return the client."""
    assert client.join(label)["ok"]
    return client


def create_room(app: Flask, label: str) -> str:
    """Create a room unless it exists; return its label."""
    with app.app_context():
        return journal.get_or_create_room(label).label

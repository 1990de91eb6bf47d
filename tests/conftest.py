"""Fixtures for all tests: an app of its own for each test, clients of its rooms, and databases.

The clients are Ada and Ben, who are in the room `kitchen`, and Cy, who is in another room.
"""

import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from flask import Flask
from flask.testing import FlaskClient
from flask_socketio import SocketIO
from hypothesis import HealthCheck, settings
from jinja2.bccache import Bucket, BytecodeCache

from chat import create_app, shut_down
from chat.delivery import reconciler
from chat.models import Room
from chat.services import services_of
from chat.storage import journal
from chat.storage.commands import Command, PostMessage
from config import Config
from tests.servers import IMPATIENT_SERVERS, ConfabServer, impatient
from tests.services import Postgres, Redis, postgres, redis

JSON = dict[str, Any]
Patch = pytest.MonkeyPatch
Log = pytest.LogCaptureFixture

# How long an example takes depends on what else the machine does, and is nothing that tests check.
settings.register_profile("any speed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any speed")

PERIODIC_EVENTS = ("head", "presence")


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

        Events of other kinds are discarded. The events that the server sends at times that no test
        decides are returned only when asked for by name, and `presence` is kept until then.
        """
        events = cast(list[JSON], self._client.get_received())
        self._presence += [each["args"][0] for each in events if each["name"] == "presence"]
        if event == "presence":
            presence = self._presence
            self._presence = []
            return presence
        if event is None:
            return [each for each in events if each["name"] not in PERIODIC_EVENTS]
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


class TemplateCache(BytecodeCache):
    """Compiled templates in memory, so that the many apps of the tests do not compile them anew."""

    def __init__(self) -> None:
        self._bytecode: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        """Fill the bucket if this version of the template has been compiled before."""
        bytecode = self._bytecode.get(f"{bucket.key} {bucket.checksum}")
        if bytecode is not None:
            bucket.bytecode_from_string(bytecode)

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep a compiled template."""
        self._bytecode[f"{bucket.key} {bucket.checksum}"] = bucket.bytecode_to_string()


@pytest.fixture(scope="session", autouse=True)
def compile_templates_once() -> Iterator[None]:
    """Let all apps of this process share their compiled templates."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Flask, "jinja_options", {"bytecode_cache": TemplateCache()})
        yield


@pytest.fixture(scope="session")
def migrated_database(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """An empty SQLite database with the newest schema: to copy it is faster than to migrate."""
    folder = tmp_path_factory.mktemp("migrated")
    with open_app(Config(instance=folder, limits=False)):
        pass
    with closing(sqlite3.connect(folder / "confab.db")) as connection:
        return connection.serialize()


@pytest.fixture
def instance(tmp_path: Path, migrated_database: bytes) -> Path:
    """An instance folder whose database is empty."""
    folder = tmp_path / "instance"
    folder.mkdir(mode=0o700)
    (folder / "confab.db").write_bytes(migrated_database)
    return folder


@pytest.fixture
def app(instance: Path) -> Iterator[Flask]:
    """Confab with an empty SQLite database and without rate limits.

    No app context is left open: events would share its `g`, and with it the identity of a browser.
    """
    config = Config(instance=instance, limits=False, reaction_seconds=0)
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
def limited_app(make_app: Callable[[Config], Flask], instance: Path) -> Callable[..., Flask]:
    """A function that creates an app with limits, whose clock stands still."""

    def make(**settings: Any) -> Flask:
        app = make_app(Config(instance=instance, **settings))
        services_of(app).limits.clock = StoppedClock()
        return app

    return make


@pytest.fixture
def without_polls(monkeypatch: Patch) -> None:
    """Let the reconciler poll only when a test does: a slow test would meet its first poll."""
    monkeypatch.setattr(reconciler, "POLL_SECONDS", (60.0, 60.0))


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
    answer = client.join(label)
    assert answer["ok"], answer
    return client


def submit_elsewhere(app: Flask, label: str, command: Callable[[Room], Command]) -> None:
    """Store a command for a room as another worker does of which nothing arrives over the bus."""
    other = journal.Journal(lambda _room, _message: None, lambda: None, 0)
    with app.app_context(), closing(other):
        other.submit(command(Room.find(label)))


def post_elsewhere(app: Flask, label: str, text: str) -> None:
    """Let Dora post a message on another worker of which nothing arrives over the bus."""
    submit_elsewhere(app, label, lambda room: PostMessage(room, "an author", "Dora", text))


def create_room(app: Flask, label: str) -> str:
    """Create a room unless it exists; return its label."""
    with app.app_context():
        return journal.get_or_create_room(label).label

"""The settings; this is the only module that reads the environment."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from redis import ConnectionPool, RedisError, UnixDomainSocketConnection
from sqlalchemy import make_url
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError

PROJECT_FOLDER = Path(__file__).resolve().parent

TRANSPORTS = ("polling", "websocket")
DRIVERS = ("sqlite", "postgresql+psycopg2")

MIN_SECRET_KEY_CHARS = 16
MAX_UNIX_PATH_BYTES = 107
"""Of a socket's address on Linux, see unix(7)."""

STARTUP_ERROR_STATUS = 3
"""The exit status after which gunicorn does not start the worker again."""


class StartupError(SystemExit):
    """The program cannot start; `sentence` tells the operator what to do."""

    def __init__(self, sentence: str) -> None:
        super().__init__(STARTUP_ERROR_STATUS)
        self.sentence = sentence


@dataclass(frozen=True)
class Config:
    """The settings of one installation. The defaults need no other service."""

    instance: Path = PROJECT_FOLDER / "instance"
    """The folder with the data of this installation: the database and the secret key."""

    secret_key: str | None = None
    """None: generated at the first start and kept in the instance folder."""

    database_url: str | None = None
    """None: SQLite in the instance folder."""

    redis_url: str | None = None
    """A `redis://`, `rediss://` or `unix://` URL. None: workers share only the database."""

    workers: int = 1
    """How many workers gunicorn runs."""

    transports: tuple[str, ...] | None = None
    """None: those that work with this number of workers."""

    engine: bool = True
    """Whether to use our own, faster WebSocket where that is possible."""

    handle_chars: int = 64
    message_chars: int = 4000
    message_bytes: int = 16 * 1024
    frame_bytes: int = 32 * 1024
    body_bytes: int = 64 * 1024
    """Of a page's form: the longest message takes 48 KiB of it, percent-encoded."""

    body_seconds: int = 10
    page: int = 50
    """Messages in the answer to `join`, in a page and in one step of the history."""

    catch_up: int = 200
    """Messages in one answer to `since`."""

    cookie_seconds: int = 400 * 24 * 3600
    """The longest that browsers keep a cookie."""

    ping_seconds: int = 20
    ping_grace_seconds: int = 15

    join_seconds: int = 15
    """How long a new connection has to join a room."""

    left_seconds: int = 600
    """How long a connection that has left its room may stay connected."""

    head_seconds: int = 10
    """How long the request line and the headers of a request may take to arrive."""

    stall_seconds: int = 15
    """How long a client may read nothing of the answer to its request."""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> "Config":
        """Read the settings. Raises StartupError when one of them is invalid."""
        return cls(
            instance=Path(environ.get("INSTANCE") or cls.instance).absolute(),
            secret_key=_secret_key(environ.get("SECRET_KEY") or None),
            database_url=environ.get("DATABASE_URL") or None,
            redis_url=_redis_url(environ.get("REDIS_URL") or None),
            workers=_workers(environ.get("CONFAB_WORKERS") or "1"),  # set by gunicorn.conf.py
            engine=_switch("ENGINE", environ.get("ENGINE") or "on"),
            transports=_transports(environ.get("TRANSPORTS") or ""),
        )

    def offered_transports(self) -> tuple[str, ...]:
        """Return the transports to offer.

        Long-polling needs the same worker for each request, so several workers offer only
        WebSocket, unless the operator decides otherwise.
        """
        if self.transports is not None:
            return self.transports
        return TRANSPORTS if self.workers == 1 else ("websocket",)

    def warnings(self) -> list[str]:
        """Return what an operator who starts it with these settings should know."""
        warnings = []
        if self.workers > 1 and self.redis_url is None:
            warnings.append(
                f"{self.workers} workers without REDIS_URL: clients of different workers receive "
                "messages up to 3.5 s late."
            )
        if self.workers > 1 and self.transports is None:
            warnings.append(
                f"{self.workers} workers offer only WebSocket; behind a sticky proxy, set "
                "TRANSPORTS."
            )
        return warnings

    def database(self) -> URL:
        """Return the URL of the database, with the driver. Raises StartupError."""
        if self.database_url is None:
            return URL.create("sqlite", database=str(self.instance / "confab.db"))
        url = _parse_database_url(self.database_url)
        if url.drivername == "postgresql":
            url = url.set(drivername="postgresql+psycopg2")
        if url.drivername not in DRIVERS:
            raise StartupError(
                f"DATABASE_URL names {url.drivername}, but Confab supports sqlite and postgresql."
            )
        return url


def is_replacement_worker(environ: Mapping[str, str] = os.environ) -> bool:
    """Return whether this process replaces a worker that ended, according to gunicorn.conf.py."""
    return bool(environ.get("CONFAB_REPLACES"))


def should_report_failure(environ: Mapping[str, str] = os.environ) -> bool:
    """Return whether this process should report that it cannot start. Call it once.

    The first workers of a gunicorn all fail for the same reason. gunicorn.conf.py has written one
    byte into a pipe, and only the worker that reads it reports the failure.
    """
    pipe = environ.get("CONFAB_FAILURE_PIPE")
    if pipe is None or is_replacement_worker(environ):
        return True
    return os.read(int(pipe), 1) != b""


def _secret_key(key: str | None) -> str | None:
    if key is None:
        return None
    if len(key) < MIN_SECRET_KEY_CHARS:
        raise StartupError(
            "SECRET_KEY is too short to keep anything secret: give it 16 characters or more."
        )
    # Bytes in the environment that are not UTF-8 become surrogates.
    has_surrogate = any("\ud800" <= character <= "\udfff" for character in key)
    if has_surrogate:
        raise StartupError(
            "SECRET_KEY is not text in UTF-8: give it letters and digits, 16 characters or more."
        )
    return key


def _workers(text: str) -> int:
    if not re.fullmatch("[0-9]{1,4}", text) or int(text) == 0:
        raise StartupError(
            f"CONFAB_WORKERS={text} is not a number of workers: leave it out, gunicorn.conf.py "
            "sets it."
        )
    return int(text)


def _parse_database_url(text: str) -> URL:
    # Heroku and others still write postgres://, which SQLAlchemy no longer accepts.
    text = text.replace("postgres://", "postgresql://", 1)
    try:
        url = make_url(text)
        if url.drivername == "sqlite" and url.database in (None, "", ":memory:"):
            raise ValueError("no file")
    except (ArgumentError, ValueError):
        raise StartupError(
            "DATABASE_URL is not a database address: write sqlite:////path/to/file or "
            "postgresql://user@host/name."
        ) from None
    return url


def _redis_url(url: str | None) -> str | None:
    """Check a Redis URL without connecting. Raises StartupError."""
    if url is None:
        return None
    try:
        connection = ConnectionPool.from_url(url).make_connection()
    except (ValueError, TypeError, RedisError):
        raise StartupError(
            "REDIS_URL is not a Redis address: write redis://host:6379/0 or "
            "unix:///path/to/redis.sock."
        ) from None
    if isinstance(connection, UnixDomainSocketConnection):
        _check_socket_path(url, connection.path)
    return url


def _check_socket_path(url: str, path: str) -> None:
    # redis-py ignores a host: in unix://tmp/redis.sock, that is the first part of the path.
    if not path.strip("/") or urlsplit(url).hostname:
        raise StartupError(
            "REDIS_URL has no absolute path: write unix:///path/to/redis.sock, with three slashes."
        )
    if len(os.fsencode(path)) > MAX_UNIX_PATH_BYTES:
        raise StartupError(
            f"REDIS_URL has a path that is too long for a Unix socket: {MAX_UNIX_PATH_BYTES} bytes "
            "at most."
        )


def _switch(name: str, value: str) -> bool:
    if value not in ("on", "off"):
        raise StartupError(f"{name} is neither on nor off: write {name}=off, or leave it out.")
    return value == "on"


def _transports(text: str) -> tuple[str, ...] | None:
    """Return the transports in a list with commas; None for an empty one. Raises StartupError."""
    names = [part.strip() for part in text.split(",")]
    transports = tuple(name for name in names if name)
    if not set(transports) <= set(TRANSPORTS):
        raise StartupError(
            "TRANSPORTS names a transport that does not exist: choose from polling,websocket."
        )
    return transports or None

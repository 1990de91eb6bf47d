"""Everything the outside world may decide; the only reader of the environment."""

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


class StartupError(SystemExit):
    """The program cannot start; the sentence tells the operator what to do.

    The exit status is 3, after which gunicorn does not start the worker again.
    """

    def __init__(self, sentence: str) -> None:
        super().__init__(3)
        self.sentence = sentence


TRANSPORTS = ("polling", "websocket")
UNIX_PATH_BYTES = 107  # of a socket's address on Linux, see unix(7)
HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Config:
    """The settings of one Confab. Every field has a default that needs no other service."""

    instance: Path = (
        HERE / "instance"
    )  # the folder of what this installation keeps: database, secret
    secret_key: str | None = None  # None: made once and kept in the instance folder
    database_url: str | None = None  # None: SQLite in the instance folder

    redis_url: str | None = (
        None  # redis://, rediss:// or unix://; None: nothing between workers but the database
    )
    workers: int = 1  # how many gunicorn runs
    transports: tuple[str, ...] | None = None  # None: those that work with so many workers

    engine: bool = (
        True  # speak WebSocket ourselves where we can; False: as the libraries do, only slower
    )

    handle_chars: int = 64
    message_chars: int = 4000
    message_bytes: int = 16 * 1024
    frame_bytes: int = 32 * 1024
    body_bytes: int = (
        64 * 1024
    )  # a page's form: the longest message, percent-encoded, takes 48 KiB of it
    body_seconds: int = 10
    page: int = 50
    catch_up: int = 200
    cookie_seconds: int = 400 * 24 * 3600  # the longest that browsers keep one
    ping_seconds: int = 20
    ping_grace_seconds: int = 15

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> "Config":
        """Read the settings; raise CannotStart with one sentence where one of them is wrong."""
        return cls(
            instance=Path(environ.get("INSTANCE") or cls.instance).absolute(),
            secret_key=_secret_key(environ.get("SECRET_KEY") or None),
            database_url=environ.get("DATABASE_URL") or None,
            redis_url=_redis_url(environ.get("REDIS_URL") or None),
            workers=_workers(environ.get("CONFAB_WORKERS") or "1"),  # set by gunicorn.conf.py
            engine=_switch(environ, "ENGINE"),
            transports=_transports(environ.get("TRANSPORTS") or None),
        )

    def offered(self) -> tuple[str, ...]:
        """The transports to offer: long-polling needs the same worker each time, so several of them speak WebSocket."""
        return self.transports or (TRANSPORTS if self.workers == 1 else TRANSPORTS[1:])

    def remarks(self) -> list[str]:
        """What somebody who starts it so should know, a sentence each."""
        said = []
        if self.workers > 1 and self.redis_url is None:
            said.append(
                f"{self.workers} workers without REDIS_URL: people on different workers see messages up to 3.5 s late."
            )
        if self.workers > 1 and self.transports is None:
            said.append(
                f"{self.workers} workers speak WebSocket only; behind a sticky proxy, set TRANSPORTS."
            )
        return said

    def database(self) -> URL:
        """The database's URL, with the driver we have tested. Raises CannotStart for one we cannot speak to."""
        if self.database_url is None:
            return URL.create("sqlite", database=str(self.instance / "confab.db"))
        # Heroku and others still say postgres://, which SQLAlchemy no longer reads.
        spelled = self.database_url.replace("postgres://", "postgresql://", 1)
        try:
            url = make_url(spelled)
            if url.drivername == "sqlite" and url.database in (None, "", ":memory:"):
                raise ValueError("no file")
        except (ArgumentError, ValueError):
            raise StartupError(
                "DATABASE_URL is not a database address: write sqlite:////path/to/file or postgresql://user@host/name."
            ) from None
        if url.drivername == "postgresql":
            url = url.set(drivername="postgresql+psycopg2")
        if url.drivername not in ("sqlite", "postgresql+psycopg2"):
            raise StartupError(
                f"DATABASE_URL names {url.drivername}, but Confab speaks sqlite and postgresql."
            )
        return url


def replaces_another(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether this process takes the place of a worker that ended (gunicorn.conf.py says so)."""
    return bool(environ.get("CONFAB_REPLACES"))


def reports_failure(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether this process is the one to report that it cannot start.

    Of the first workers of a gunicorn, all of which fail for the same reason, only one is: the one that reads the
    byte which gunicorn.conf.py has written into a pipe.
    """
    pipe = environ.get("CONFAB_FAILURE_PIPE")
    if pipe is None or replaces_another(environ):
        return True
    return os.read(int(pipe), 1) != b""


def _secret_key(key: str | None) -> str | None:
    if key is None:
        return None
    if len(key) < 16:
        raise StartupError(
            "SECRET_KEY is too short to keep anything secret: give it 16 characters or more."
        )
    if any(
        "\ud800" <= character <= "\udfff" for character in key
    ):  # bytes of the environment that are not UTF-8
        raise StartupError(
            "SECRET_KEY is not text in UTF-8: give it letters and digits, 16 characters or more."
        )
    return key


def _workers(text: str) -> int:
    if not re.fullmatch("[0-9]{1,4}", text) or int(text) == 0:
        raise StartupError(
            f"CONFAB_WORKERS={text} is not a number of workers: leave it out, gunicorn.conf.py sets it."
        )
    return int(text)


def _redis_url(url: str | None) -> str | None:
    """Check a Redis URL without connecting. Raises CannotStart for one that can never work."""
    if url is None:
        return None
    try:
        connection = ConnectionPool.from_url(url).make_connection()
    except (ValueError, TypeError, RedisError):
        raise StartupError(
            "REDIS_URL is not a Redis address: write redis://host:6379/0 or unix:///path/to/redis.sock."
        ) from None
    if isinstance(connection, UnixDomainSocketConnection):
        _check_socket_path(url, connection.path)
    return url


def _check_socket_path(url: str, path: str) -> None:
    if (
        not path.strip("/") or urlsplit(url).hostname
    ):  # redis-py ignores a host, so the first part of unix://tmp/redis.sock
        raise StartupError(
            "REDIS_URL has no absolute path: write unix:///path/to/redis.sock, with three slashes."
        )
    if len(os.fsencode(path)) > UNIX_PATH_BYTES:
        raise StartupError(
            f"REDIS_URL has a path that is too long for a Unix socket: {UNIX_PATH_BYTES} bytes at most."
        )


def _switch(environ: Mapping[str, str], name: str) -> bool:
    said = environ.get(name) or "on"
    if said not in ("on", "off"):
        raise StartupError(f"{name} is neither on nor off: write {name}=off, or leave it out.")
    return said == "on"


def _transports(text: str | None) -> tuple[str, ...] | None:
    chosen = tuple(part.strip() for part in (text or "").split(",") if part.strip())
    if not set(chosen) <= set(TRANSPORTS):
        raise StartupError(
            "TRANSPORTS names a transport that does not exist: choose from polling,websocket."
        )
    return chosen or None

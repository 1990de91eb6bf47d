"""The settings; this is the only module that reads the environment."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Self
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

SECONDS_BY_UNIT = {"s": 1, "min": 60, "h": 3600}

STARTUP_ERROR_STATUS = 3
"""The exit status after which gunicorn does not start the worker again."""


class StartupError(SystemExit):
    """The program cannot start; `sentence` tells the operator what to do."""

    def __init__(self, sentence: str) -> None:
        super().__init__(STARTUP_ERROR_STATUS)
        self.sentence = sentence


@dataclass(frozen=True)
class Rate:
    """The size of a token bucket: `burst` at once, then `per_second`."""

    burst: float
    per_second: float

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a rate such as `5, 1/s` (5 at once, then one a second) or `600/min`.

        Without a burst, it is the number before the slash. Raises ValueError.
        """
        found = re.fullmatch(r"(?:([0-9]{1,12}),\s*)?([0-9]{1,12})/(s|min|h)", text.strip())
        if found is None:
            raise ValueError(f"{text} is not a rate")
        burst = int(found[1] or found[2])
        per_second = int(found[2]) / SECONDS_BY_UNIT[found[3]]
        if burst == 0 or per_second == 0:
            raise ValueError(f"{text} allows nothing")
        return cls(burst, per_second)


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

    # Rate limits: chat/limits.py applies them, docs/configuration.md explains them.
    limits: bool = True
    """Whether there are any rate limits. Off for benchmarks, and for tests of other things."""

    limit_person_messages: Rate = Rate(5, 1)
    limit_person_bytes: Rate = Rate(64 * 1024, 8 * 1024)
    limit_person_changes: Rate = Rate(20, 2)
    limit_person_names: Rate = Rate(5, 6 / 60)
    limit_person_reads: Rate = Rate(40, 10)
    limit_person_joins: Rate = Rate(20, 20 / 60)
    limit_person_connections: int = 10
    limit_address_messages: Rate = Rate(200, 60)
    limit_address_reads: Rate = Rate(1_000, 200)
    limit_address_joins: Rate = Rate(600, 600 / 60)
    limit_address_failed_joins: Rate = Rate(60, 30 / 60)
    limit_address_pages: Rate = Rate(300, 30)
    limit_address_rooms: Rate = Rate(120, 120 / 3600)
    limit_address_handshakes: Rate = Rate(1_000, 50)
    limit_address_connections: int = 1_000
    forwarded_allow_ips: str = "127.0.0.1,::1"
    """The proxies whose X-Forwarded-For is trusted: addresses and networks, or `*` for all."""

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
            limits=_switch("LIMITS", environ.get("LIMITS") or "on"),
            forwarded_allow_ips=_proxies(environ.get("FORWARDED_ALLOW_IPS")),
            **_limits_from_environment(environ),
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


def _limits_from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    """Return the limits that are set, by the name of their field. Raises StartupError."""
    found: dict[str, Any] = {}
    for field in fields(Config):
        if not field.name.startswith("limit_"):
            continue
        name = field.name.upper()
        text = environ.get(name)
        if text:
            parse = _count if isinstance(field.default, int) else _rate
            found[field.name] = parse(name, text)
    return found


def _rate(name: str, text: str) -> Rate:
    try:
        return Rate.parse(text)
    except ValueError:
        raise StartupError(
            f"{name}={text} is not a rate: write 5, 1/s for 5 at once and then one a second; the "
            "units are s, min and h."
        ) from None


def _count(name: str, text: str) -> int:
    if not re.fullmatch("[0-9]{1,9}", text) or int(text) == 0:
        raise StartupError(f"{name}={text} is not a number of connections: give 1 or more.")
    return int(text)


def _proxies(text: str | None) -> str:
    """Check a list of addresses and networks, as gunicorn does. Raises StartupError."""
    if text is None:
        return Config.forwarded_allow_ips
    try:
        for part in text.split(","):
            if part.strip() not in ("", "*"):
                ip_network(part.strip())
    except ValueError:
        raise StartupError(
            "FORWARDED_ALLOW_IPS is not a list of addresses: write 10.0.0.2, or 10.0.0.0/8 for a "
            "network, with commas between several."
        ) from None
    return text


def _transports(text: str) -> tuple[str, ...] | None:
    """Return the transports in a list with commas; None for an empty one. Raises StartupError."""
    names = [part.strip() for part in text.split(",")]
    transports = tuple(name for name in names if name)
    if not set(transports) <= set(TRANSPORTS):
        raise StartupError(
            "TRANSPORTS names a transport that does not exist: choose from polling,websocket."
        )
    return transports or None

"""Everything the outside world may decide; the only reader of the environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import make_url
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError

from chat.errors import CannotStart

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Config:
    """The settings of one Confab. Every field has a default that needs no other service."""

    instance: Path = HERE / "instance"  # the folder of what this installation keeps: database, secret
    secret_key: str | None = None  # None: made once and kept in the instance folder
    database_url: str | None = None  # None: SQLite in the instance folder

    handle_chars: int = 64
    message_chars: int = 4000
    message_bytes: int = 16 * 1024
    frame_bytes: int = 32 * 1024
    page: int = 50
    catch_up: int = 200
    cookie_seconds: int = 400 * 24 * 3600  # the longest that browsers keep one
    ping_seconds: int = 20
    ping_grace_seconds: int = 15

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> "Config":
        """Read the settings; raise CannotStart with one sentence where one of them is wrong."""
        secret = environ.get("SECRET_KEY") or None
        if secret is not None and len(secret) < 16:
            raise CannotStart("SECRET_KEY is too short to keep anything secret: give it 16 characters or more.")
        return cls(
            instance=Path(environ.get("INSTANCE") or cls.instance).absolute(),
            secret_key=secret,
            database_url=environ.get("DATABASE_URL") or None,
        )

    def database(self) -> URL:
        """The database's URL, with the driver we have tested. Raises CannotStart for one we cannot speak to."""
        if self.database_url is None:
            return URL.create("sqlite", database=str(self.instance / "confab.db"))
        # Heroku and others still say postgres://, which SQLAlchemy no longer reads.
        spelled = self.database_url.replace("postgres://", "postgresql://", 1)
        try:
            url = make_url(spelled)
        except ArgumentError:
            raise CannotStart(
                "DATABASE_URL is not a database address: write sqlite:////path/to/file or postgresql://user@host/name."
            ) from None
        if url.drivername == "postgresql":
            url = url.set(drivername="postgresql+psycopg2")
        if url.drivername not in ("sqlite", "postgresql+psycopg2"):
            raise CannotStart(f"DATABASE_URL names {url.drivername}, but Confab speaks sqlite and postgresql.")
        return url

"""The database of one run: a SQLite file, or a database of the benchmark's PostgreSQL server."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import psycopg2

from tests.services import Postgres

SQLITE = "sqlite"
POSTGRESQL = "postgresql"
DATABASES = (SQLITE, POSTGRESQL)

COUNT_MESSAGES = "SELECT count(*) FROM messages"


class Database(Protocol):
    """Where the servers of one run store their messages."""

    @property
    def settings(self) -> dict[str, str]:
        """The environment variables that name the database, for the servers."""

    def count_messages(self) -> int:
        """Return how many messages are stored."""


@dataclass(frozen=True)
class SqliteDatabase:
    """A file that the servers create, in their data folder."""

    path: Path

    @property
    def settings(self) -> dict[str, str]:
        """No environment variables: the path is that of the default settings."""
        return {}

    def count_messages(self) -> int:
        """Return how many messages are stored."""
        with closing(sqlite3.connect(self.path)) as connection:
            [count] = connection.execute(COUNT_MESSAGES).fetchone()
        return int(count)


@dataclass(frozen=True)
class PostgresDatabase:
    """A database of a PostgreSQL server."""

    url: str

    @property
    def settings(self) -> dict[str, str]:
        """The URL of the database."""
        return {"DATABASE_URL": self.url}

    def count_messages(self) -> int:
        """Return how many messages are stored."""
        with closing(psycopg2.connect(self.url)) as connection, connection.cursor() as cursor:
            cursor.execute(COUNT_MESSAGES)
            [count] = cursor.fetchone() or (0,)
        return int(count)


@contextmanager
def new_database(postgres: Postgres | None, path: Path) -> Iterator[Database]:
    """Create a database of the PostgreSQL server, and drop it at the end.

    Without a PostgreSQL server, it is the SQLite file `path`. Raises RuntimeError when the database
    fails.
    """
    try:
        if postgres is None:
            yield SqliteDatabase(path)
            return
        url = postgres.database()
        yield PostgresDatabase(url)
        # Otherwise, PostgreSQL would have more to do in the background with each run.
        postgres.run(f"DROP DATABASE {url.rpartition('/')[2]} WITH (FORCE)")
    except (sqlite3.Error, psycopg2.Error) as error:
        raise RuntimeError(f"the database failed: {error}") from error

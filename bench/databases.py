"""The database of one run: a SQLite file, or a database of the benchmark's PostgreSQL server."""

import sqlite3
from contextlib import closing
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
    """A file that the servers create. They know its place: it is in their data folder."""

    path: Path

    @property
    def settings(self) -> dict[str, str]:
        """None are needed."""
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
        """Its URL."""
        return {"DATABASE_URL": self.url}

    def count_messages(self) -> int:
        """Return how many messages are stored."""
        with closing(psycopg2.connect(self.url)) as connection, connection.cursor() as cursor:
            cursor.execute(COUNT_MESSAGES)
            [count] = cursor.fetchone() or (0,)
        return int(count)


def new_database(postgres: Postgres | None, path: Path) -> Database:
    """Return a new database of the PostgreSQL server; without one, the SQLite file `path`."""
    if postgres is None:
        return SqliteDatabase(path)
    return PostgresDatabase(postgres.database())

"""Leases: a task that one worker at a time does, although any worker may end at any moment."""

import secrets
import time
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, delete, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from chat.moderation.tables import leases
from chat.storage.database import is_sqlite, read_transaction, write_transaction

LEASE_SECONDS = 30.0
"""How long a lease is valid after it was renewed last."""

RENEWAL_SECONDS = 10.0


class Lease:
    """The right to do the task `name`, which one process at a time has.

    All times are those of the database, because the clocks of hosts differ. If that clock is set
    back, a lease would be valid for too long: one that ends later than any could is taken over.
    Two processes may believe for up to RENEWAL_SECONDS that they have the lease, so it saves work
    and must not be relied on for correctness.
    """

    def __init__(self, name: str, seconds: float = LEASE_SECONDS) -> None:
        self._name = name
        self._duration = timedelta(seconds=seconds)
        self._holder = secrets.token_hex(16)
        self._renew_at = 0.0

    def acquire(self, *, force: bool = False) -> bool:
        """Take or renew the lease, if nobody else has it; return whether it is ours. Raises Busy.

        With `force`, it is taken from whoever has it.
        """
        if not force and self._is_held_by_other():
            return False
        try:
            with write_transaction() as connection:
                is_ours = self._take(connection, force)
        except IntegrityError:  # another process has inserted the row
            return False
        self._renew_at = time.monotonic() + RENEWAL_SECONDS
        return is_ours

    def keep(self) -> bool:
        """Renew the lease when it is time to; return whether it is still ours. Raises Busy."""
        if time.monotonic() < self._renew_at:
            return True
        return self.acquire()

    def release(self) -> None:
        """Let another process have the lease at once, if it is ours. Raises Busy."""
        is_ours = (leases.c.name == self._name) & (leases.c.holder == self._holder)
        with write_transaction() as connection:
            connection.execute(delete(leases).where(is_ours))

    def _is_held_by_other(self) -> bool:
        statement = select(leases.c.holder, leases.c.expires_at).where(leases.c.name == self._name)
        with read_transaction() as connection:
            found = connection.execute(statement).one_or_none()
            now = _database_time(connection)
        if found is None or found.holder == self._holder:
            return False
        expires_at: datetime = found.expires_at
        return now < expires_at <= now + self._duration

    def _take(self, connection: Connection, force: bool) -> bool:
        now = _database_time(connection)
        row = {"holder": self._holder, "expires_at": now + self._duration}
        is_available = or_(
            leases.c.holder == self._holder,
            leases.c.expires_at <= now,
            leases.c.expires_at > now + self._duration,
        )
        statement = update(leases).where(leases.c.name == self._name).values(row)
        if not force:
            statement = statement.where(is_available)
        if connection.execute(statement).rowcount == 1:
            return True
        exists = select(leases.c.name).where(leases.c.name == self._name)
        if connection.execute(exists).one_or_none() is not None:
            return False
        connection.execute(insert(leases), {"name": self._name, **row})
        return True


def _database_time(connection: Connection) -> datetime:
    """Return the time of the database; with SQLite, that is the time of this host."""
    if is_sqlite():
        return datetime.now(UTC)
    now = connection.scalar(select(func.timezone("utc", func.clock_timestamp())))
    assert isinstance(now, datetime), now  # noqa: S101  # it is never NULL
    return now.replace(tzinfo=UTC)
